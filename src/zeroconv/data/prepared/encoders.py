"""The encoders of a base without its U-Net, and by what they are recognised."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zeroconv.data.latent_cache import describe_tokenizer
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["hash_encoders", "open_encoders", "row_shapes"]


@dataclass(frozen=True)
class AbsentUNet:
    """In place of a U-Net whose weights nobody needs: what the encoders are told by it.

    Attributes:
        config: of the U-Net.
        device: where the encoders are.
        dtype: of what they give.
    """

    config: Any
    device: torch.device
    dtype: torch.dtype = torch.float32


def open_encoders(name: str, vae: str | Path | None = None, device: str = "cpu") -> StableDiffusion:
    """A base in float32 whose U-Net is not read: a worker needs the memory of the encoders alone.

    Args:
        name: as `StableDiffusion.from_pretrained` takes it.
        vae: another autoencoder.
        device: where it encodes.

    Raises:
        FileNotFoundError: as `StableDiffusion.from_pretrained`.
        ValueError: as `StableDiffusion.from_pretrained`.
    """
    base = StableDiffusion.from_pretrained(name, dtype=None, vae=vae)  # mapped: what is not touched is not read
    for network in base.networks[1:]:
        network.float().to(device)
    return replace(base, unet=AbsentUNet(base.unet.config, torch.device(device)))


def hash_encoders(base: StableDiffusion) -> dict[str, str]:
    """SHA-256 of the "autoencoder" and of the "text encoder", each with all that its results depend on.

    These are the weights, the scale of the latents, the tokenizers and the meaning of the empty prompt.
    """
    scale = [base.vae.config.get(name) for name in ("scaling_factor", "shift_factor")]
    tokenizers = [describe_tokenizer(one) for one in (base.tokenizer, base.tokenizer_2) if one is not None]
    return {
        "autoencoder": hash_networks([base.vae], [scale, base.vae_scale_factor]),
        "text encoder": hash_networks(base.networks[2:], [tokenizers, base.force_zeros_for_empty_prompt]),
    }


def hash_networks(networks: Any, settings: Any) -> str:
    """SHA-256 of networks' tensors, in float32, and of what was set beside them."""
    found = hashlib.sha256(json.dumps(settings).encode())
    for network in networks:
        for name, tensor in network.state_dict().items():
            found.update(f"{name} {list(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().float().contiguous().numpy().data)
    return found.hexdigest()


def row_shapes(base: StableDiffusion, size: tuple[int, int]) -> Mapping[str, tuple[int, ...]]:
    """Shapes of what one row holds: "latents" (C, h, w), "text" (N, D), and for SDXL "pooled" (P).

    Raises:
        InputError: for a size that the autoencoder does not take.
    """
    empty = base.encode_text([""])
    shapes = {"latents": base.latent_shape(*size), "text": tuple(empty.hidden_states.shape[1:])}
    return shapes if empty.pooled is None else {**shapes, "pooled": tuple(empty.pooled.shape[1:])}
