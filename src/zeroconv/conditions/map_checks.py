"""Checks that several conditions share: of sizes, and of maps that look wrong."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from zeroconv.images import check_pixels
from zeroconv.messages import Message

__all__ = [
    "LIT",
    "bend_correlation",
    "check_flat",
    "check_lines",
    "check_picture",
    "check_sizes",
    "check_soft_lines",
    "check_thin_lines",
    "colour_fraction",
    "extremes",
    "flat_levels",
    "line_like",
    "pixel_fraction",
    "texture_fractions",
    "thick_fraction",
]

FLAT = 2.0  # grey levels of standard deviation
LIT = 64
"""Level of the brightest channel from which a pixel is part of a stroke: a red stroke is as much one as a white one."""


def check_sizes(image: Image.Image, condition: Image.Image) -> None:
    """Raise a ValueError unless a picture and its map have the same size and some pixels."""
    check_pixels(image)
    if image.size != condition.size:
        raise ValueError(f"the picture is {image.size}, its map {condition.size}; expected the same size")


def extremes(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The brightest and the darkest channel of each pixel, (H, W) each."""
    red, green, blue = image.convert("RGB").split()
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return np.asarray(brightest), np.asarray(darkest)


def pixel_fraction(image: Image.Image, test: Callable[[np.ndarray], np.ndarray]) -> float:
    """The share of pixels (H, W, 3), uint8, for which `test` says yes."""
    check_pixels(image)
    return float(np.mean(test(np.asarray(image.convert("RGB")))))


def colour_fraction(image: Image.Image) -> float:
    """The share of pixels that are not grey: channels more than 24 levels apart."""
    check_pixels(image)
    brightest, darkest = extremes(image)
    return float((brightest - darkest > 24).mean())


def check_picture(image: Image.Image, soft: bool = False) -> list[Message]:
    """A warning for what is no map of lines at all, but a photograph or a flat picture: hardly black, and grey or coloured.

    What extractors make of any picture stays within the limits: of grass and gravel, and lines of pure noise.

    Args:
        image: the map.
        soft: whether edges may be as soft as those of the condition soft-edge, which leave little black.
    """
    brightest, darkest = extremes(image)
    dark, coloured = float((brightest < 32).mean()), float((brightest - darkest > 24).mean())
    between = float(((brightest >= LIT) & (brightest < 192)).mean())
    filled = np.median(brightest) > 85 if soft else between > (0.2 if dark < 0.1 else 0.3)
    if dark >= 0.25 or not (filled or coloured > 0.2):
        return []
    said = f"this map looks like a picture: {1 - dark:.0%} of it is not black, expected white lines on black"
    if coloured > 0.2:
        said = f"this map has colours ({coloured:.0%} of it) and hardly any black, as a picture; expected white lines on black"
    return [Message(said, "map.no-lines")]


def check_soft_lines(image: Image.Image) -> list[Message]:
    """Warnings for a map of lines in grey levels, white on black: polarity, emptiness, colour, a picture in its place."""
    check_pixels(image)
    brightest, darkest = extremes(image)
    white, dark, lit = float((darkest > 127).mean()), float((brightest < LIT).mean()), brightest >= LIT
    if found := check_picture(image):
        return found
    between = float(((brightest >= LIT) & (brightest < 192)).mean())
    if between > 0.25:
        said = f"this map looks like a picture: {between:.0%} of it is grey, expected white lines on black"
        return [Message(said, "map.picture")]
    if white > 0.5:
        return [Message(f"this map looks inverted: {white:.0%} white, expected white lines on black", "map.inverted")]
    if not brightest.any():
        return [Message("this map is empty: no white line on it, so it controls nothing", "map.empty")]
    if lit.sum() < 0.02 * max(image.size):
        said = f"this map is nearly empty: {lit.sum()} pixels of it are lines, so it controls next to nothing"
        return [Message(said, "map.empty")]
    coloured = float((brightest[lit] - darkest[lit] > 24).mean())
    if coloured > 0.2:
        return [Message(f"this map has colours ({coloured:.0%} of its lines), expected white lines on black", "map.colours")]
    if dark < 0.5:
        said = f"this map looks like a picture: {1 - dark:.0%} of it is not black, expected white lines on black"
        return [Message(said, "map.picture")]
    if min(image.size) >= 64 and thick_fraction(lit, min(image.size) // 24) > 0.3:
        return [Message("this map has areas where lines are expected: a mask, a depth map or a picture?", "map.picture")]
    return []


def check_lines(image: Image.Image) -> list[Message]:
    """Warnings for a map of pure white lines on black: as `check_soft_lines`, and grey levels."""
    found = check_soft_lines(image)
    brightest, _ = extremes(image)
    grey, lit = float(((brightest >= LIT) & (brightest < 192)).mean()), float((brightest >= LIT).mean())
    if not found and grey > 0.5 * lit:
        said = f"{grey / lit:.0%} of this map's lines are grey (soft edges, or resized?), expected pure white on black"
        return [Message(said, "map.grey-lines")]
    return found


def check_thin_lines(image: Image.Image) -> list[Message]:
    """Warnings for a map of lines one pixel wide: as `check_lines`, and strokes of three pixels and more."""
    found = check_lines(image)
    if found or min(image.size) < 16:
        return found
    thick = thick_fraction(extremes(image)[0] >= LIT, 1)
    if thick > 0.1:
        said = f"{thick:.0%} of this map's lines are wider than two pixels: a scribble? Expected lines of one pixel"
        return [Message(said, "map.thick")]
    return []


def thick_fraction(lit: NDArray[np.bool_], radius: int) -> float:
    """The share of what is drawn, (H, W), that is wider than twice a radius in pixels."""
    import cv2

    if not lit.any():
        return 0.0
    side = 2 * radius + 1
    kernel = np.ones((side, side), np.uint8)
    opened = cv2.morphologyEx(lit.astype(np.uint8), cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_REPLICATE)
    return float(opened.sum() / lit.sum())


def texture_fractions(image: Image.Image) -> tuple[float, float]:
    """The shares of 8 x 8 blocks with structure finer than 3 x 3 pixels, and with next to none.

    A smooth map has little of the first and much of the second; a photograph the other way round, even a blurred one, for it
    has grain; a map that was a JPEG has both.
    """
    import cv2

    grey = np.array(image.convert("L"))
    height, width = (side // 8 for side in grey.shape)
    if not height or not width:
        return 0.0, 1.0
    fine = np.abs(grey.astype(np.float32) - cv2.medianBlur(grey, 3))[: 8 * height, : 8 * width]
    blocks = fine.reshape(height, 8, width, 8).mean(axis=(1, 3))
    return float((blocks > 0.4).mean()), float((blocks < 0.05).mean())


def flat_levels(grey: NDArray[np.uint8]) -> int:
    """How many levels a map of classes or a mask has, (H, W) in grey: of few flat areas and their rims; else 0.

    A flat level is that of 1 % of the picture or more with neighbours of the same level. Those of a map of classes cover
    half of it at least, lie apart, and 32 levels are nearly all of it. Of smooth maps they lie side by side.
    """
    import cv2

    square = np.ones((3, 3), np.uint8)
    flat = cv2.dilate(grey, square) == cv2.erode(grey, square)
    areas = np.bincount(grey[flat], minlength=256) / grey.size
    levels = np.flatnonzero(areas > 0.01)
    most = np.sort(np.bincount(grey.ravel(), minlength=256))[-32:].sum() / grey.size
    beside = int((np.diff(levels) <= 2).sum())
    return len(levels) if most > 0.95 and areas[levels].sum() > 0.5 and 2 * beside <= len(levels) > 1 else 0


def line_like(image: Image.Image) -> bool:
    """Whether a picture is pure lines on black and nothing else."""
    brightest, _ = extremes(image)
    dark, between = float((brightest < 16).mean()), float(((brightest >= 16) & (brightest < 240)).mean())
    return 0.6 < dark < 0.999 and between < 0.03 and thick_fraction(brightest >= LIT, max(2, min(image.size) // 60)) < 0.3


def bend_correlation(normals: np.ndarray) -> float:
    """How a map's slopes change with each other, as a correlation: -1 … 1; 0 where a map has too few curved places to tell.

    Of a surface `z(x, y)` with slopes `p` and `q`, `dp/dy` is `dq/dx`: both are its mixed second derivative. With one channel
    flipped they are opposite. Creases and borders, where slopes jump, are left out.

    Args:
        normals: (H, W, 3) in the camera's frame.
    """
    if min(normals.shape[:2]) < 16:
        return 0.0
    front = np.maximum(-normals[..., 2], 0.15)
    p, q = (np.clip(normals[..., axis] / front, -4, 4) for axis in (0, 1))
    down = (p[:-2, 1:-1] - p[2:, 1:-1]) / 2
    across = (q[1:-1, 2:] - q[1:-1, :-2]) / 2
    bent = np.maximum(np.abs(down), np.abs(across))
    curved = (bent > 0.01) & (bent < 0.5)
    if curved.mean() < 0.01:
        return 0.0
    a, b = down[curved], across[curved]
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()).clip(1e-9))


def check_flat(condition: Image.Image) -> list[Message]:
    """Warnings for a map that is a picture: one colour all over."""
    check_pixels(condition)
    spread = np.asarray(condition.convert("RGB"), np.float32).std(axis=(0, 1)).max()
    return [Message("this map has one colour all over, so it controls hardly anything", "map.flat")] if spread < FLAT else []
