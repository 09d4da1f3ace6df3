"""Networks of every family at full and at reduced widths: their shapes without memory, and random tensors for them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from zeroconv.checkpoints.architecture.families import FAMILIES
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.configs import controlnet_config, unet_config, vae_config
from zeroconv.checkpoints.keys import Table, VaeShape

Shapes = dict[str, tuple[int, ...]]

PUBLISHED = {
    "sd15": UNetShape(4, 4, (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1, 768, False, None),
    "sd21": UNetShape(4, 4, (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1, 1024, True, None),
    "sdxl": UNetShape(4, 4, (320, 640, 1280), 2, (0, 2, 10), 10, 2048, True, 2816),
}
# Three channels for each of SDXL's sizes, beside 32 of pooled text.
REDUCED = {
    "sd15": UNetShape(4, 4, (32, 64, 64, 64), 2, (1, 1, 1, 0), 1, 24, False, None),
    "sd21": UNetShape(4, 4, (64, 128, 128, 128), 2, (1, 1, 1, 0), 1, 40, True, None),
    "sdxl": UNetShape(4, 4, (32, 64, 128), 2, (0, 2, 3), 3, 48, True, 50),
    # Nobody publishes these; a table that only knows the published ones fails on them.
    "three blocks": UNetShape(8, 8, (32, 64), 3, (1, 2), 2, 24, False, None),
    "one block": UNetShape(4, 4, (64, 32, 32), 1, (0, 1, 0), 4, 24, True, None),
}
POOLED_TEXT = 32
VAE_PUBLISHED = VaeShape((128, 256, 512, 512), 2, 4)
VAE_REDUCED = VaeShape((32, 32, 64, 96), 1, 8)


def on_meta(cls: Any, config: Mapping[str, Any]) -> Any:
    """A network of diffusers or transformers without memory."""
    with torch.device("meta"):
        return cls.from_config(config) if hasattr(cls, "from_config") else cls(CLIPTextConfig(**config))


@cache
def unet_on_meta(unet_shape: UNetShape) -> UNet2DConditionModel:
    return on_meta(UNet2DConditionModel, unet_config(unet_shape, pooled_text=pooled_text(unet_shape)))


@cache
def controlnet_on_meta(unet_shape: UNetShape) -> ControlNetModel:
    return on_meta(ControlNetModel, controlnet_config(unet_shape, pooled_text=pooled_text(unet_shape)))


@cache
def vae_on_meta(shape: VaeShape) -> AutoencoderKL:
    return on_meta(AutoencoderKL, vae_config(shape, FAMILIES["sd15"]))


def text_on_meta(width: int, layers: int, projection: int | None = None, **settings: Any) -> nn.Module:
    """A CLIP text encoder of transformers, with `projection` channels of pooled text or without it."""
    sizes: dict[str, Any] = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": max(1, width // 64)}
    settings = {**sizes, "intermediate_size": 4 * width, "projection_dim": projection or width, **settings}
    return on_meta(CLIPTextModelWithProjection if projection else CLIPTextModel, settings)


def pooled_text(unet_shape: UNetShape) -> int | None:
    return POOLED_TEXT if unet_shape == REDUCED["sdxl"] else None


def copy_of(unet_shape: UNetShape) -> UNetShape:
    """The topology of a ControlNet on a U-Net."""
    return replace(unet_shape, out_channels=None)


def shapes_of(tensors: Mapping[str, Tensor] | nn.Module) -> Shapes:
    tensors = tensors.state_dict() if isinstance(tensors, nn.Module) else tensors
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def random_tensors(network: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """Numbers for every tensor of a network; no two tensors are equal."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(shape, generator=generator) for name, shape in shapes_of(network).items()}


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """The same names and, bit by bit, the same tensors."""
    return left.keys() == right.keys() and all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def assert_round_trip(table: Table, ours: dict[str, Tensor]) -> dict[str, Tensor]:
    """Ours to theirs and back: equal, and in the same memory; gives theirs."""
    theirs = table.to_theirs(ours)
    back = table.to_ours(theirs)
    assert equal(back, ours) and equal(table.to_theirs(back), theirs)
    for entry in table.entries:
        assert all(storage(back[name]) == storage(theirs[entry.theirs]) for name in entry.ours)
        assert entry.form == "thirds" or storage(theirs[entry.theirs]) == storage(ours[entry.ours[0]])
    return theirs
