"""The autoencoder of a base: part of a folder or file, or one that the user puts in its place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zeroconv.checkpoints import read_config, read_weights
from zeroconv.checkpoints.architecture.families import FAMILIES, FamilyKey
from zeroconv.checkpoints.files.wrappers import read_published
from zeroconv.checkpoints.formats.single_file import Part, read_vae, shapes_of
from zeroconv.checkpoints.keys.vae import foreign_vae, vae_shape
from zeroconv.stable_diffusion.build import build_vae

__all__ = ["VAE_CLASS", "build_vae_part", "open_vae", "vae_dtype"]

VAE_CLASS = "AutoencoderKL"


def vae_dtype(config: Mapping[str, Any], dtype: torch.dtype | None, xl: bool) -> torch.dtype | None:
    """The type an autoencoder is given: SDXL's own overflows float16 (`force_upcast`), so there it stays in float32."""
    return torch.float32 if xl and dtype in (None, torch.float16) and config.get("force_upcast", True) else dtype


def open_vae(place: Path, dtype: torch.dtype | None, family: FamilyKey = "sd15") -> Any:
    """An autoencoder from a folder in the diffusers layout, the folder of a base that has one, or a file in any names.

    Args:
        place: the folder or the `.safetensors` file.
        dtype: of the weights; None as stored.
        family: of the base: SDXL's latents have another scale, which a file does not tell.

    Raises:
        FileNotFoundError: when there is nothing.
        ValueError: when it is something else.
    """
    if not place.exists():
        raise FileNotFoundError(f"there is no autoencoder at {place}: expected a .safetensors file, or a folder with one")
    if not place.is_dir():
        return build_vae_part(read_vae(read_published(place), FAMILIES[family], str(place)), dtype, family)
    folder = place / "vae" if (place / "vae" / "config.json").is_file() else place
    config, tensors = read_config(folder, VAE_CLASS), read_weights(folder)
    if foreign := foreign_vae(vae_shape(shapes_of(tensors))):
        raise ValueError(f"{folder} holds no autoencoder of Stable Diffusion: {foreign}")
    return build_vae(config, tensors, vae_dtype(config, dtype, family == "sdxl"))


def build_vae_part(part: Part, dtype: torch.dtype | None, family: FamilyKey) -> Any:
    """An autoencoder from its configuration and tensors."""
    return build_vae(part.config, part.tensors, vae_dtype(part.config, dtype, family == "sdxl"))
