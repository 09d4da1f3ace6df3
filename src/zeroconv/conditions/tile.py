"""Tile (ControlNet 1.1): a picture without its details, to be filled with new ones."""

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import Condition, Contract
from zeroconv.conditions.map_checks import check_flat, check_sizes
from zeroconv.conditions.raster.resizing import LANCZOS
from zeroconv.errors import InputError
from zeroconv.images import as_rgb
from zeroconv.metrics.psnr import normalized_psnr

__all__ = ["TILE", "low_pass_psnr", "random_factor", "reduce", "tile"]

LARGEST = 64
USUAL = (1.0, 8.0)  # the factors of training
BEST = 40.0  # decibels


def tile(image: Image.Image, factor: float = 4) -> Image.Image:
    """A picture made smaller and larger again: RGB, of the same size.

    Made smaller by averaging areas, made larger by a cubic; a factor of 1 is the picture itself.

    Args:
        image: any picture.
        factor: how much smaller it is in between, 1 to 64.

    Raises:
        InputError: for a factor out of range.
    """
    if not 1 <= factor <= LARGEST:
        raise InputError(f"tile factor is {factor:g}; expected 1 to {LARGEST} (2 to 8 are usual)", field="factor")
    return reduce(as_rgb(image), factor).resize(image.size, Image.Resampling.BICUBIC)


def reduce(image: Image.Image, factor: float) -> Image.Image:
    """A picture `factor` times smaller, each pixel the mean of an area; at least one pixel remains."""
    width, height = (max(1, round(side / factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def random_factor(generator: np.random.Generator) -> Mapping[str, float]:
    """A factor for one training sample: 1 … 8, as often from 1 to 2 as from 4 to 8."""
    low, high = map(math.log, USUAL)
    return {"factor": math.exp(float(generator.uniform(low, high)))}


def low_pass_psnr(image: Image.Image, condition: Image.Image, factor: float = 8) -> float:
    """How well a picture without its details meets its map: [0, 1].

    Both are made `factor` times smaller by averaging areas; the peak signal-to-noise ratio from 10 to 40 dB counts as
    0 to 1. Details do not count, whatever they are; a shift of colour does.

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size.
        factor: how much smaller; 8 is the coarsest map of training.

    Raises:
        ValueError: when sizes differ.
    """
    check_sizes(image, condition)
    small = [np.asarray(reduce(picture.convert("RGB"), factor)) for picture in (image, condition)]
    return normalized_psnr(*small, best=BEST)


TILE = Condition(
    name="tile",
    order=11,
    summary="a small picture to be filled with detail",
    contract=Contract(
        summary="RGB picture of the picture's size, without its details: made smaller and larger again (ControlNet 1.1).",
        suits=(
            "lllyasviel/control_v11f1e_sd15_tile", "xinsir/controlnet-tile-sdxl-1.0",
        ),
    ),
    extract=tile,
    score=low_pass_psnr,
    metric="low-pass PSNR (10 to 40 dB as 0 to 1)",
    draw_parameters=random_factor,
    check=check_flat,
    resizing=LANCZOS,
)  # fmt: skip
