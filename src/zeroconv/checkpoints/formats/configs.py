"""Configurations in the words of diffusers and transformers, for files that hold tensors alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from zeroconv.checkpoints.architecture.families import HEAD_WIDTH, Family, TextEncoder
from zeroconv.checkpoints.architecture.unet_shape import UNetShape, side, unsupported
from zeroconv.checkpoints.keys.text_encoder import count_layers
from zeroconv.checkpoints.keys.vae import VaeShape

__all__ = ["controlnet_config", "scheduler_config", "text_config", "unet_config", "vae_config"]

NORM_GROUPS = 32
"""Groups of every normalisation, in every published U-Net and autoencoder."""

SIZES = 6
"""Numbers that describe a picture to SDXL: original height and width, crop top and left, target height and width."""

SIZE_WIDTH = 256
"""Channels in which published SDXL networks embed each of them; beside 1280 of pooled text that makes 2816."""


def unet_config(unet_shape: UNetShape, family: Family | None = None, pooled_text: int | None = None) -> dict[str, Any]:
    """`config.json` of diffusers' `UNet2DConditionModel`.

    Args:
        unet_shape: of the U-Net.
        family: the shape's own if left out; another one's number of heads may be asked for.
        pooled_text: width of SDXL's pooled text; 1280 if left out, as published.

    Raises:
        ValueError: when diffusers has no such network, or a width does not go with the others.
    """
    family = family or unet_shape.family
    up = ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(unet_shape.depths)]
    return {
        "_class_name": "UNet2DConditionModel",
        **common_settings(unet_shape, family, pooled_text),
        "out_channels": unet_shape.in_channels if unet_shape.out_channels is None else unet_shape.out_channels,
        "up_block_types": up,
        "sample_size": family.size // 8,
    }


def controlnet_config(
    unet_shape: UNetShape,
    family: Family | None = None,
    pooled_text: int | None = None,
    conditioning_channels: int = 3,
    widths: Sequence[int] = (16, 32, 96, 256),
) -> dict[str, Any]:
    """`config.json` of diffusers' `ControlNetModel`.

    Args:
        unet_shape: of the ControlNet, or of its base.
        family: as in `unet_config`.
        pooled_text: as in `unet_config`.
        conditioning_channels: of the condition image.
        widths: of the condition encoder.

    Raises:
        ValueError: as in `unet_config`.
    """
    return {
        "_class_name": "ControlNetModel",
        **common_settings(unet_shape, family or unet_shape.family, pooled_text),
        "conditioning_channels": conditioning_channels,
        "conditioning_embedding_out_channels": list(widths),
        "controlnet_conditioning_channel_order": "rgb",
        "global_pool_conditions": False,
    }


def common_settings(unet_shape: UNetShape, family: Family, pooled_text: int | None) -> dict[str, Any]:
    """What the configurations of a U-Net and of its ControlNet have in common."""
    if reason := unsupported(unet_shape):
        raise ValueError(reason)
    # Levels without attention must be given a number too; the middle block takes the last one.
    layers = [depth or 1 for depth in unet_shape.depths[:-1]] + [unet_shape.middle_depth or 1]
    return {
        "in_channels": unet_shape.in_channels,
        "block_out_channels": list(unet_shape.channels),
        "layers_per_block": unet_shape.blocks,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in unet_shape.depths],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if unet_shape.middle_depth else "UNetMidBlock2D",
        "transformer_layers_per_block": layers if len(set(layers)) > 1 else layers[0],
        "cross_attention_dim": unet_shape.context or family.text_width,
        "attention_head_dim": family.attention_heads(unet_shape.channels),
        "use_linear_projection": unet_shape.linear_projection,
        "upcast_attention": family.upcast_attention,
        "norm_num_groups": NORM_GROUPS,
        "act_fn": "silu",
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        **pooled_settings(unet_shape.pooled, pooled_text),
    }


def pooled_settings(pooled: int | None, text: int | None) -> dict[str, Any]:
    """How SDXL's pooled text and six sizes are embedded; nothing for the others."""
    if pooled is None:
        return {}
    text = pooled - SIZES * SIZE_WIDTH if text is None else text
    width, rest = divmod(pooled - text, SIZES)
    if text < 1 or width < 1 or rest:
        raise ValueError(
            f"the embedding beside the step takes {pooled} channels; expected those of the pooled text and, in equal parts, "
            f"of {SIZES} sizes: as a rule 1280 + {SIZES} * {SIZE_WIDTH}, and where the text's width is known it must be given"
        )
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": width,
        "projection_class_embeddings_input_dim": pooled,
    }


def vae_config(shape: VaeShape, family: Family) -> dict[str, Any]:
    """`config.json` of diffusers' `AutoencoderKL`.

    Args:
        shape: what `vae_shape` found.
        family: whose latents it makes.
    """
    levels = len(shape.channels)
    bare = {} if shape.quantised else {"use_quant_conv": False, "use_post_quant_conv": False}
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": shape.latent_channels,
        "block_out_channels": list(shape.channels),
        "layers_per_block": shape.blocks,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "norm_num_groups": NORM_GROUPS,
        "act_fn": "silu",
        "sample_size": family.size,
        "scaling_factor": family.latent_scale,
        "force_upcast": True,
        **bare,
    }


def text_config(encoder: TextEncoder, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """`config.json` of transformers' `CLIPTextModel`, or `CLIPTextModelWithProjection`.

    Args:
        encoder: which text encoder of a family it is.
        shapes: of its tensors, under our names, with `text_model.` before them or not.

    Raises:
        ValueError: naming a tensor that is missing or of a shape it cannot have.
    """
    prefix = "text_model." if any(name.startswith("text_model.") for name in shapes) else ""
    words, first = f"{prefix}embeddings.token_embedding.weight", f"{prefix}encoder.layers.0.mlp.fc1.weight"
    width = side(shapes, words, 1, 2)
    heads = max(1, width // HEAD_WIDTH)
    if width % heads:
        raise ValueError(f"the text encoder has {width} channels; expected a multiple of {HEAD_WIDTH}, or fewer")
    return {
        "architectures": ["CLIPTextModelWithProjection" if encoder.projection else "CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": side(shapes, words, 0, 2),
        "max_position_embeddings": side(shapes, f"{prefix}embeddings.position_embedding.weight", 0, 2),
        "hidden_size": width,
        "intermediate_size": side(shapes, first, 0, 2),
        "num_hidden_layers": count_layers(shapes),
        "num_attention_heads": heads,
        "hidden_act": encoder.activation,
        "layer_norm_eps": 1e-5,
        "projection_dim": side(shapes, "text_projection.weight", 0, 2) if encoder.projection else width,
        # As in the published configurations: 2 means "the place of the largest token", which is the end of the text.
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }


def scheduler_config(family: Family, prediction_type: str | None = None) -> dict[str, Any]:
    """`scheduler_config.json` of diffusers' `DDIMScheduler`: the noise that all three families were trained with.

    Args:
        family: gives the prediction type if it is left out.
        prediction_type: "epsilon" or "v_prediction".

    Raises:
        ValueError: for another prediction type.
    """
    predicted = family.prediction_type if prediction_type is None else prediction_type
    if predicted not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction type is {predicted!r}; expected 'epsilon' or 'v_prediction'")
    return {
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": predicted,
        "steps_offset": 1,
        "clip_sample": False,
        "set_alpha_to_one": False,
    }
