"""Checks that several conditions share: of sizes, and of maps that look wrong."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from zeroconv.images import check_pixels
from zeroconv.messages import Message

__all__ = ["check_flat", "check_lines", "check_sizes", "check_soft_lines", "colour_fraction", "pixel_fraction"]

FLAT = 2.0  # grey levels of standard deviation


def check_sizes(image: Image.Image, condition: Image.Image) -> None:
    """Raise a ValueError unless a picture and its map have the same size and some pixels."""
    check_pixels(image)
    if image.size != condition.size:
        raise ValueError(f"the picture is {image.size}, its map {condition.size}; expected the same size")


def pixel_fraction(image: Image.Image, test: Callable[[np.ndarray], np.ndarray]) -> float:
    """The share of pixels (H, W, 3), uint8, for which `test` says yes."""
    check_pixels(image)
    return float(np.mean(test(np.asarray(image.convert("RGB")))))


def colour_fraction(image: Image.Image) -> float:
    """The share of pixels that are not grey: channels more than 24 levels apart."""
    return pixel_fraction(image, lambda rgb: rgb.max(axis=2).astype(int) - rgb.min(axis=2) > 24)


def check_soft_lines(image: Image.Image) -> list[Message]:
    """Warnings for a map of lines in grey levels, white on black: polarity, emptiness, colour."""
    white = pixel_fraction(image, lambda rgb: rgb.min(axis=2) > 127)
    if white > 0.6:
        return [Message(f"this map looks inverted: {white:.0%} white, expected white lines on black", "map.inverted")]
    if pixel_fraction(image, lambda rgb: rgb.max(axis=2) > 0) == 0:
        return [Message("this map is empty: no white line on it, so it controls nothing", "map.empty")]
    colour = colour_fraction(image)
    return (
        [Message(f"this map has colours ({colour:.0%} of it), expected white lines on black", "map.colours")]
        if colour > 0.05
        else []
    )


def check_lines(image: Image.Image) -> list[Message]:
    """Warnings for a map of pure white lines on black: as `check_soft_lines`, and grey levels."""
    found = check_soft_lines(image)
    grey = pixel_fraction(image, lambda rgb: (rgb.max(axis=2) >= 64) & (rgb.max(axis=2) < 192))
    lit = pixel_fraction(image, lambda rgb: rgb.max(axis=2) >= 64)
    if not found and grey > 0.5 * lit:
        return [
            Message(
                f"{grey / lit:.0%} of this map's lines are grey (soft edges, or resized?), expected pure white on black",
                "map.grey-lines",
            )
        ]
    return found


def check_flat(condition: Image.Image) -> list[Message]:
    """Warnings for a map that is a picture: one colour all over."""
    check_pixels(condition)
    spread = np.asarray(condition.convert("RGB"), np.float32).std(axis=(0, 1)).max()
    return [Message("this map has one colour all over, so it controls hardly anything", "map.flat")] if spread < FLAT else []
