"""The locked U-Net as two functions, `encode` and `decode` (the paper, figure 3, left half).

A ControlNet acts between them: what `encode` returns is what it may add to, and `decode` cannot tell whether
anything was added. The diffusers network is used as it is, never subclassed, patched or hooked.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

__all__ = ["AddedConditions", "Encoded", "Encoder", "decode", "embed", "encode", "run_encoder", "unet_on_meta"]


class Encoder(Protocol):
    """What the locked U-Net and its trainable copy have in common, under the names of diffusers."""

    conv_in: Any
    time_proj: Any
    time_embedding: Any
    down_blocks: Any
    mid_block: Any


@dataclass(frozen=True)
class AddedConditions:
    """SDXL's conditioning beside the text states (`added_cond_kwargs` in diffusers).

    Attributes:
        text_embeds: pooled text embedding, (B, P).
        time_ids: original height and width, crop top and left, target height and width in pixels, (B, 6).
    """

    text_embeds: Tensor
    time_ids: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> "AddedConditions":
        """The same with both tensors changed."""
        return AddedConditions(change(self.text_embeds), change(self.time_ids))


@dataclass(frozen=True)
class Encoded:
    """The output of the encoder half.

    Attributes:
        skips: the skip connections, shallow to deep: 12 for SD 1.5 and 2.1, 9 for SDXL, each (B, C_i, h_i, w_i).
        middle: the output of the middle block, (B, C, h, w).
        embedding: the time embedding that the decoder needs too, (B, E).
    """

    skips: tuple[Tensor, ...]
    middle: Tensor
    embedding: Tensor


def embed(network: Any, z_t: Tensor, t: Tensor | float, added_conditions: AddedConditions | None = None) -> Tensor:
    """The embedding of step `t` (and, for SDXL, of the pooled text and sizes): (B, E).

    Args:
        network: a U-Net, or a copy of its encoder.
        z_t: the noisy latents, (B, C, h, w); gives batch size, device and data type.
        t: the step, a number or (B,), 0 … 999.
        added_conditions: needed where the network has an `add_embedding`.
    """
    steps = torch.as_tensor(t, device=z_t.device).expand(z_t.shape[0])
    embedding = network.time_embedding(network.time_proj(steps).to(z_t.dtype))
    if getattr(network, "add_embedding", None) is None:
        return embedding
    if added_conditions is None:
        raise ValueError("this U-Net is of the SDXL family: it needs `added_conditions` (pooled text and sizes), got None")
    sizes = network.add_time_proj(added_conditions.time_ids.flatten()).reshape(added_conditions.text_embeds.shape[0], -1)
    return embedding + network.add_embedding(torch.cat([added_conditions.text_embeds, sizes], dim=-1).to(embedding.dtype))


def run_encoder(network: Encoder, h: Tensor, embedding: Tensor, text: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Encoder blocks and middle block on features `h` that the input convolution made: (skips, middle)."""
    skips = (h,)
    for block in network.down_blocks:
        if getattr(block, "has_cross_attention", False):
            h, made = block(hidden_states=h, temb=embedding, encoder_hidden_states=text)
        else:
            h, made = block(hidden_states=h, temb=embedding)
        skips += made
    if getattr(network.mid_block, "has_cross_attention", False):
        h = network.mid_block(h, embedding, encoder_hidden_states=text)
    else:
        h = network.mid_block(h, embedding)
    return skips, h


def encode(unet: Any, z_t: Tensor, t: Tensor | float, text: Tensor, added_conditions: AddedConditions | None = None) -> Encoded:
    """The encoder and the middle block of a diffusers `UNet2DConditionModel`.

    Args:
        unet: the U-Net.
        z_t: noisy latents, (B, C, h, w).
        t: the step, a number or (B,), 0 … 999.
        text: text states, (B, N, D).
        added_conditions: for SDXL.
    """
    embedding = embed(unet, z_t, t, added_conditions)
    skips, middle = run_encoder(unet, unet.conv_in(z_t), embedding, text)
    return Encoded(skips, middle, embedding)


def decode(unet: Any, encoded: Encoded, text: Tensor) -> Tensor:
    """The decoder of a diffusers `UNet2DConditionModel`: the prediction, like `z_t`.

    Sizes that are no multiple of the U-Net's downsampling are handled as diffusers does: each decoder block is given
    the size of the skip connection that it will meet next.
    """
    h, skips = encoded.middle, encoded.skips
    factor = 2**unet.num_upsamplers
    forced = any(side % factor for side in skips[0].shape[-2:])
    for i, block in enumerate(unet.up_blocks):
        count = len(block.resnets)
        taken, skips = skips[-count:], skips[:-count]
        last = i == len(unet.up_blocks) - 1
        size = skips[-1].shape[2:] if forced and not last else None
        states = {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
        h = block(hidden_states=h, temb=encoded.embedding, res_hidden_states_tuple=taken, upsample_size=size, **states)
    if unet.conv_norm_out is not None:
        h = unet.conv_act(unet.conv_norm_out(h))
    return unet.conv_out(h)


def check_supported(unet: nn.Module) -> None:
    """Refuse U-Nets with inputs that this project does not know (class labels, image embeddings).

    Raises:
        ValueError: naming the setting that was found and the ones that are understood.
    """
    config: Any = getattr(unet, "config", None)
    if config is None:
        raise ValueError(f"expected a diffusers UNet2DConditionModel, such as base.unet, got a {type(unet).__name__}")
    if config.addition_embed_type not in (None, "text_time") or config.class_embed_type is not None:
        raise ValueError(
            f"this U-Net has addition_embed_type={config.addition_embed_type!r} and class_embed_type="
            f"{config.class_embed_type!r}; expected Stable Diffusion 1.x, 2.x or XL (None or 'text_time', and None)"
        )
    if config.encoder_hid_dim_type is not None:
        raise ValueError(f"this U-Net has encoder_hid_dim_type={config.encoder_hid_dim_type!r}; expected None")


def unet_on_meta(settings: Mapping[str, Any]) -> UNet2DConditionModel:
    """A U-Net whose tensors have no memory, for copies of its parts; it is kept, and nobody fills or changes it.

    Args:
        settings: of the encoder, in diffusers' names: what JSON can say.
    """
    return keep_unet_on_meta(json.dumps(settings))


@lru_cache(maxsize=4)
def keep_unet_on_meta(written: str) -> UNet2DConditionModel:
    """The same from JSON: to build one takes longer than all else of opening a small control, and many are alike."""
    settings = json.loads(written)
    up = tuple("CrossAttnUpBlock2D" if "Cross" in name else "UpBlock2D" for name in settings["down_block_types"][::-1])
    with torch.device("meta"):
        return UNet2DConditionModel(**settings, up_block_types=up, out_channels=settings["in_channels"])
