"""The locked base in the type that a run keeps its weights in: cast once, not at every step."""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.groups import BaseDtype
from zeroconv.training.precision.quantized import BITS, quantize_layers

__all__ = ["Float32Encoders", "lock_base"]

FLOATS: dict[BaseDtype, torch.dtype] = {
    "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16,
}  # fmt: skip


class Float32Encoders(StableDiffusion):
    """A base whose latents and text states are float32 whatever its U-Net computes in, so that a cache has them exact."""

    @property
    def dtype(self) -> torch.dtype:
        """Of what is encoded."""
        return torch.float32


def lock_base(base: StableDiffusion, kind: BaseDtype, dtype: torch.dtype) -> StableDiffusion:
    """The same base with its U-Net in another type; the encoders are shared, and the one that was given stays as it is.

    Args:
        base: opened in float32.
        kind: the type of the U-Net's weights.
        dtype: that quantized layers compute in.
    """
    if kind == "float32":
        return base
    unet, wide = base.unet, FLOATS.get(kind, dtype)
    if kind in BITS:
        unet = copy_sharing(unet)
        quantize_layers(unet, kind, wide)
    return replace(base, unet=copy_casting(unet, wide).requires_grad_(False).eval())


def copy_sharing(network: Any) -> Any:
    """The same modules around the same tensors."""
    return copy.deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})


def copy_casting(network: Any, dtype: torch.dtype) -> Any:
    """The same modules around parameters in another type; there is never a copy of one in its old type."""
    cast = {id(p): nn.Parameter(p.detach().to(dtype), requires_grad=False) for p in network.parameters()}
    return copy.deepcopy(network, {**cast, **{id(buffer): buffer for buffer in network.buffers()}})
