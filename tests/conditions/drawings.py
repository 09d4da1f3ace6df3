"""Drawn shapes whose maps are known, and comparisons of maps with a tolerance."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from zeroconv.metrics.edges import matched_fraction

SIZE = 128
BOX = (32, 40, 95, 87)  # the pixels of the square, both ends included
TURNS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
}
SIZES = ((1, 1), (2, 1), (1, 3), (7, 13), (1, 50), (129, 77))


def filled_square(ground: int = 30, colour: int = 220) -> Image.Image:
    image = Image.new("RGB", (SIZE, SIZE), (ground,) * 3)
    ImageDraw.Draw(image).rectangle(BOX, fill=(colour,) * 3)
    return image


def disc() -> Image.Image:
    """Centre (64, 64), radius 20."""
    image = Image.new("RGB", (SIZE, SIZE), "white")
    ImageDraw.Draw(image).ellipse((44, 44, 84, 84), fill="black")
    return image


def fan(colour: str = "black", ground: str = "white", turn: float = 0) -> Image.Image:
    """Twelve lines, one pixel wide, from a ring of radius 40 to one of 110."""
    image = Image.new("RGB", (256, 256), ground)
    pen = ImageDraw.Draw(image)
    for angle in np.radians(np.arange(0, 180, 15) + turn):
        c, s = np.cos(angle), np.sin(angle)
        pen.line((128 + 40 * c, 128 + 40 * s, 128 + 110 * c, 128 + 110 * s), fill=colour)
    return image


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def white(condition: Image.Image) -> np.ndarray:
    return np.asarray(condition.convert("L")) > 127


def agreement(one: Image.Image, other: Image.Image, tolerance: int) -> float:
    """The smaller share of white pixels that have one of the other map nearby."""
    a, b = white(one), white(other)
    return min(matched_fraction(a, b, tolerance), matched_fraction(b, a, tolerance))
