"""The ControlNet of figure 3: a copy of the encoder and the middle block, and a zero convolution at each output."""

import copy
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from zeroconv.checkpoints import read_config, read_model_folder, resolve, write_model_folder
from zeroconv.control.condition_encoder import PAPER_CHANNELS, RELEASED_CHANNELS, build_condition_encoder
from zeroconv.control.lite import LiteDownBlock, LiteMiddle
from zeroconv.control.residuals import Residuals
from zeroconv.control.zero_convolution import Connection, connect
from zeroconv.stable_diffusion.unet import Pooled, check_supported, embed, run_encoder

__all__ = ["ControlNet", "Variant"]

Variant = Literal["full", "lite"]

CLASS_NAME = "ControlNetModel"  # what diffusers opens
OWN_CLASS_NAME = "ZeroconvControlNet"  # what it has no class for: lite copies, the text's condition encoder
COPIED_SETTINGS = (
    "act_fn", "addition_embed_type", "addition_time_embed_dim", "attention_head_dim", "block_out_channels",
    "class_embed_type", "cross_attention_dim", "down_block_types", "downsample_padding", "encoder_hid_dim",
    "encoder_hid_dim_type", "flip_sin_to_cos", "freq_shift", "in_channels", "layers_per_block",
    "mid_block_scale_factor", "mid_block_type", "norm_eps", "norm_num_groups", "num_attention_heads",
    "num_class_embeds", "only_cross_attention", "projection_class_embeddings_input_dim",
    "resnet_time_scale_shift", "transformer_layers_per_block", "upcast_attention", "use_linear_projection",
)  # fmt: skip


class ControlNet(nn.Module):
    """`canny(z_t, t, text, condition)` gives the `Residuals` for one denoising step.

    The state dict has the names of diffusers' `ControlNetModel`, so a saved folder opens there and the other way
    round. Make one with `from_unet` or `from_pretrained`.

    Attributes:
        config: settings in the names of diffusers' `config.json`, plus `_zeroconv` for what diffusers has no name for.
        name: what it was opened as.
    """

    name: str = "unnamed"

    def __init__(self, unet: Any, config: dict[str, Any]) -> None:
        super().__init__()
        extra = config["_zeroconv"]
        connection: Connection = extra["connection"]
        levels: tuple[int, ...] = tuple(unet.config.block_out_channels)
        if extra["variant"] not in get_args(Variant):
            raise ValueError(f"variant is {extra['variant']!r}; expected 'full' or 'lite'")
        self.config = config
        self.conv_in = copy.deepcopy(unet.conv_in)
        self.time_proj = copy.deepcopy(unet.time_proj)
        self.time_embedding = copy.deepcopy(unet.time_embedding)
        if getattr(unet, "add_embedding", None) is not None:
            self.add_time_proj = copy.deepcopy(unet.add_time_proj)
            self.add_embedding = copy.deepcopy(unet.add_embedding)
        self.controlnet_cond_embedding = build_condition_encoder(
            extra["condition_encoder"],
            levels[0],
            config["conditioning_channels"],
            config["conditioning_embedding_out_channels"],
            connection,
        )
        if extra["variant"] == "lite":
            self.down_blocks, self.mid_block = lite_blocks(unet), LiteMiddle(levels[-1])
        else:
            self.down_blocks = copy.deepcopy(unet.down_blocks)
            self.mid_block = copy.deepcopy(unet.mid_block)
        widths = skip_channels(unet)
        self.controlnet_down_blocks = nn.ModuleList(connect(width, width, connection) for width in widths)
        self.controlnet_mid_block = connect(levels[-1], levels[-1], connection)
        self.requires_grad_(True)

    @classmethod
    def from_unet(
        cls,
        unet: Any,
        conditioning_channels: int = 3,
        variant: Variant = "full",
        connection: Connection = "zero",
        condition_encoder: str = "released",
        conditioning_embedding_out_channels: tuple[int, ...] | None = None,
        base: str | None = None,
    ) -> Self:
        """A ControlNet at birth: `unet`'s encoder and middle block copied, every connection zero.

        Args:
            unet: a diffusers `UNet2DConditionModel` (SD 1.x, 2.x, XL or the tiny base).
            conditioning_channels: channels of the condition image, 3 for RGB maps.
            variant: "full", or "lite": one convolution in place of each block's copy (figure 8 c).
            connection: "zero", or "gaussian": ordinary convolutions (figure 8 b), which break identity at birth.
            condition_encoder: "released" (the form of published weights) or "paper" (section 3.2's text).
            conditioning_embedding_out_channels: widths of the condition encoder.
            base: name of the base, kept in the configuration.

        Raises:
            ValueError: for an unknown variant, connection or form, or a U-Net of another family.
        """
        check_supported(unet)
        widths = PAPER_CHANNELS if condition_encoder == "paper" else RELEASED_CHANNELS
        config = {
            "_class_name": CLASS_NAME if (variant, condition_encoder) == ("full", "released") else OWN_CLASS_NAME,
            **{name: unet.config[name] for name in COPIED_SETTINGS if name in unet.config},
            "conditioning_channels": conditioning_channels,
            "conditioning_embedding_out_channels": list(conditioning_embedding_out_channels or widths),
            "controlnet_conditioning_channel_order": "rgb",
            "global_pool_conditions": False,
            "_zeroconv": {
                "variant": variant,
                "connection": connection,
                "condition_encoder": condition_encoder,
                "base": base,
                "condition": None,
            },
        }
        return cls(unet, config)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path) -> Self:
        """Open a saved ControlNet: an embedded name ("tiny-canny"), or a folder in the diffusers layout.

        Raises:
            FileNotFoundError: when there is no such name or folder.
            ValueError: when the file is broken or its tensors do not fit its configuration.
        """
        folder = resolve(name_or_path, "ControlNet")
        config = read_config(folder, CLASS_NAME, OWN_CLASS_NAME)
        try:
            network = cls.without_memory(complete(config))
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            first = str(error).strip().partition("\n")[0]
            raise ValueError(f"{folder}/config.json describes no ControlNet: {type(error).__name__}: {first}") from error
        weights = read_model_folder(folder, {name: tuple(p.shape) for name, p in network.state_dict().items()})
        # Copied, not assigned: a file's own memory is not aligned, and sums over it would be rounded differently.
        network.to_empty(device="cpu").float().load_state_dict(weights)
        for frequencies in (network.time_proj, getattr(network, "add_time_proj", None)):
            assert frequencies is None or not list(frequencies.buffers()), "these hold no tensors"
        network.name = str(name_or_path)
        return network.requires_grad_(True)

    @classmethod
    def without_memory(cls, config: dict[str, Any]) -> Self:
        """The network of a configuration, its tensors without memory; the decoder of its U-Net is never filled."""
        settings = {name: config[name] for name in COPIED_SETTINGS if name in config}
        up = tuple("CrossAttnUpBlock2D" if "Cross" in name else "UpBlock2D" for name in config["down_block_types"][::-1])
        with torch.device("meta"):
            return cls(UNet2DConditionModel(**settings, up_block_types=up, out_channels=config["in_channels"]), config)

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write `config.json` and `diffusion_pytorch_model.safetensors`, each whole or not at all.

        Args:
            folder: made if it is not there.
            dtype: type of the stored weights; as they are if left out.
        """
        tensors = {name: tensor.to(dtype or tensor.dtype) for name, tensor in self.state_dict().items()}
        return write_model_folder(Path(folder), self.config, tensors)

    def forward(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        condition: Tensor | None = None,
        *,
        features: Tensor | None = None,
        pooled: Pooled | None = None,
    ) -> Residuals:
        """The residuals of one step.

        Args:
            z_t: noisy latents, (B, C, h, w).
            t: the step, a number or (B,), 0 … 999.
            text: text states, (B, N, D).
            condition: condition images, (B or 1, 3, 8h, 8w) in [0, 1].
            features: instead of the condition, `encode_condition(condition)`, computed once for all steps.
            pooled: for SDXL.

        Raises:
            ValueError: when sizes do not fit, or neither or both of condition and features are given.
        """
        if (condition is None) == (features is None):
            raise ValueError("give either `condition` or `features`, got " + ("neither" if features is None else "both"))
        if features is None:
            assert condition is not None
            features = self.encode_condition(condition)
        if features.shape[-2:] != z_t.shape[-2:]:
            raise ValueError(
                f"the condition's features are {tuple(features.shape[-2:])}, the latents {tuple(z_t.shape[-2:])}: "
                f"a condition must have 8 times the latents' size, here {tuple(8 * s for s in z_t.shape[-2:])} pixels"
            )
        embedding = embed(self, z_t, t, pooled)
        skips, middle = run_encoder(self, self.conv_in(z_t) + features, embedding, text)
        residuals = Residuals(
            tuple(zero(skip) for zero, skip in zip(self.controlnet_down_blocks, skips, strict=True)),
            self.controlnet_mid_block(middle),
        )
        return residuals.pooled() if self.config["global_pool_conditions"] else residuals

    def encode_condition(self, condition: Tensor) -> Tensor:
        """E(c), which no step changes: (B, C_1, H/8, W/8) from condition images (B, 3, H, W) in [0, 1].

        Raises:
            ValueError: when the number of channels is not this network's.
        """
        expected = self.config["conditioning_channels"]
        if condition.ndim != 4 or condition.shape[1] != expected:
            raise ValueError(f"condition has shape {tuple(condition.shape)}; expected (B, {expected}, H, W) in [0, 1]")
        if self.config["controlnet_conditioning_channel_order"] == "bgr":
            condition = condition.flip(1)
        return self.controlnet_cond_embedding(condition)

    def check_base(self, unet: Any) -> None:
        """Refuse a base that this ControlNet was not made for.

        Raises:
            ValueError: naming what differs.
        """
        for name in ("in_channels", "block_out_channels", "cross_attention_dim", "layers_per_block"):
            mine, theirs = (list(v) if isinstance(v, (list, tuple)) else v for v in (self.config[name], unet.config[name]))
            if mine != theirs:
                raise ValueError(
                    f"this ControlNet was made for a base with {name} {mine}, the base given has {theirs}: "
                    "use a ControlNet made for this base, or the base it was made for"
                )


def complete(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with what diffusers leaves out: its own defaults, and ours for a published network."""
    defaults = {
        "conditioning_channels": 3,
        "conditioning_embedding_out_channels": list(RELEASED_CHANNELS),
        "controlnet_conditioning_channel_order": "rgb",
        "global_pool_conditions": False,
    }
    extra = {"variant": "full", "connection": "zero", "condition_encoder": "released", "base": None, "condition": None}
    order = config.get("controlnet_conditioning_channel_order", "rgb")
    if order not in ("rgb", "bgr"):
        raise ValueError(f"config.json has controlnet_conditioning_channel_order {order!r}; expected 'rgb' or 'bgr'")
    return {**defaults, **config, "_zeroconv": {**extra, **config.get("_zeroconv", {})}}


def skip_channels(unet: Any) -> list[int]:
    """Channels of each skip connection, shallow to deep."""
    channels = [unet.config.block_out_channels[0]]
    for block, width in zip(unet.down_blocks, unet.config.block_out_channels, strict=True):
        channels += [width] * (len(block.resnets) + (block.downsamplers is not None))
    return channels


def lite_blocks(unet: Any) -> nn.ModuleList:
    """One `LiteDownBlock` for each level of the U-Net's encoder."""
    widths = list(unet.config.block_out_channels)
    return nn.ModuleList(
        LiteDownBlock(before, width, len(block.resnets), block.downsamplers is not None)
        for block, before, width in zip(unet.down_blocks, [widths[0], *widths[:-1]], widths, strict=True)
    )
