"""Between pictures and latents: whole, or in tiles where a picture is too large for that."""

from collections.abc import Iterator

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zeroconv.conditions.raster.tiling import tiles
from zeroconv.images import normalize, to_images, to_tensor
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["decode_images", "encode_picture"]

LARGEST = 512
"""Pixels a side that are given to an autoencoder at a time; its memory grows with them, and in its middle with their square."""
SHARED = 128
"""Pixels that neighbouring tiles share: there one fades into the next."""

Part = tuple[slice, slice]


def encode_picture(base: StableDiffusion, image: Image.Image, tiled: bool = False) -> Tensor:
    """Scaled latents, (1, C, h, w), of an RGB picture.

    Args:
        base: whose autoencoder.
        image: its sides are multiples of 8.
        tiled: whether one of more than 512 pixels a side is encoded in tiles.
    """
    pixels, unit = normalize(to_tensor(image))[None], base.vae_scale_factor
    if not tiled or max(image.size) <= LARGEST:
        return base.encode_images(pixels)
    summed = torch.zeros(1, *base.latent_shape(*image.size), device=base.device, dtype=torch.float32)
    for (rows, columns), weight in parts((image.width // unit, image.height // unit), unit):
        latents = base.encode_images(pixels[..., enlarge(rows, unit), enlarge(columns, unit)])
        summed[..., rows, columns] += weight.to(summed) * latents
    return summed.to(base.dtype)


def decode_images(base: StableDiffusion, latents: Tensor, tiled: bool = False) -> list[Image.Image]:
    """RGB pictures of scaled latents (B, C, h, w).

    Args:
        base: whose autoencoder.
        latents: of the pictures.
        tiled: whether those of more than 512 pixels a side are decoded in tiles.

    Raises:
        FloatingPointError: when they are not finite.
    """
    unit, (height, width) = base.vae_scale_factor, latents.shape[-2:]
    pictures = base.decode(latents) if not tiled or max(height, width) * unit <= LARGEST else decode_tiles(base, latents)
    if not bool(pictures.isfinite().all()):
        raise FloatingPointError("the autoencoder gives pictures that are not finite: use float32, or another one with --vae")
    return to_images(pictures)


def decode_tiles(base: StableDiffusion, latents: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] of latents (B, C, h, w), in tiles that fade into one another."""
    unit, (height, width) = base.vae_scale_factor, latents.shape[-2:]
    summed = torch.zeros(len(latents), 3, height * unit, width * unit)
    weights = torch.zeros(1, 1, height * unit, width * unit)
    for (rows, columns), weight in parts((width, height), unit):
        place = ..., enlarge(rows, unit), enlarge(columns, unit)
        smooth = functional.interpolate(weight[None, None], scale_factor=unit, mode="bilinear")
        summed[place] += smooth * base.decode(latents[..., rows, columns]).cpu()
        weights[place] += smooth
    return summed / weights


def parts(size: tuple[int, int], unit: int) -> Iterator[tuple[Part, Tensor]]:
    """Rows and columns of the tiles of latents, and the weight of each latent, (h, w).

    Args:
        size: of the latents, width and height.
        unit: pixels per latent.
    """
    for part, weight in tiles(size, LARGEST // unit, SHARED // unit, blend=True):
        yield part, torch.from_numpy(weight).float()


def enlarge(part: slice, unit: int) -> slice:
    """The pixels of latents."""
    return slice(part.start * unit, part.stop * unit)
