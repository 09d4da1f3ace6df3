"""Whole bases in the original layout, at reduced widths: random networks of diffusers and transformers, written out."""

from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.tiny import randomized
from zeroconv.checkpoints import write_safetensors
from zeroconv.checkpoints.architecture.families import FAMILIES
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.configs import unet_config, vae_config
from zeroconv.checkpoints.formats.single_file import write_original
from zeroconv.checkpoints.keys import VaeShape

WIDTHS = {  # of each text encoder
    "sd15": (64,),
    "sd21": (64,),
    "sdxl": (64, 128),
}
TOPOLOGIES = {
    "sd15": UNetShape(4, 4, (32, 64, 64, 64), 2, (1, 1, 1, 0), 1, 64, False, None),
    "sd21": UNetShape(4, 4, (64, 64, 128, 128), 2, (1, 1, 1, 0), 1, 64, True, None),
    "sdxl": UNetShape(4, 4, (32, 64, 128), 2, (0, 2, 3), 3, 192, True, 6 * 8 + 128),
}
WORDS = 49_408


def text_encoder(width: int, layers: int, projection: bool, activation: str, seed: int) -> Any:
    """A CLIP text encoder with CLIP's vocabulary."""
    config = CLIPTextConfig(
        vocab_size=WORDS, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, projection_dim=width,
        num_attention_heads=max(1, width // 64), hidden_act=activation, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    return randomized((CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval(), seed)


def networks(family: str, seed: int = 0) -> dict[str, Any]:
    """U-Net, autoencoder and text encoders of a family, every tensor random."""
    known, pooled = FAMILIES[family], WIDTHS[family][-1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made: dict[str, Any] = {
            "unet": UNet2DConditionModel(**unet_config(TOPOLOGIES[family], known, pooled)),
            "vae": AutoencoderKL(**vae_config(VaeShape((32, 32, 64, 64), 1, 4), known)),
        }
        for name, width, encoder in zip(("text_encoder", "text_encoder_2"), WIDTHS[family], known.text_encoders, strict=False):
            layers = 3 - (encoder.layers - encoder.used)
            made[name] = text_encoder(width, layers, encoder.projection, encoder.activation, seed + len(made))
    for i, network in enumerate(made.values()):
        randomized(network, seed + i)
    return {name: network.eval() for name, network in made.items()}


def original_tensors(family: str, made: dict[str, nn.Module]) -> dict[str, Tensor]:
    """All of them under the original names."""
    texts = tuple(made[name].state_dict() for name in ("text_encoder", "text_encoder_2") if name in made)
    return write_original(FAMILIES[family], made["unet"].state_dict(), made["vae"].state_dict(), texts)


def write_base_file(path: Path, family: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> dict[str, nn.Module]:
    """A single file; the networks that it holds."""
    made = {name: network.to(dtype) for name, network in networks(family, seed).items()}
    write_safetensors(path, original_tensors(family, made))
    return made
