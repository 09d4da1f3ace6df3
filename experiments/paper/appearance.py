"""What guidance does to the look of a picture, in three numbers that need no network: sharpness, colour, clipping.

Too much guidance makes pictures hard and garish (Ho and Salimans, 2022, appendix; Saharia et al., *Imagen*, 2022, section
2.3, on saturation). Each number is compared with that of the true pictures through the autoencoder, which the base imitates.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["APPEARANCE", "appearance", "colour_distance"]

APPEARANCE = ("sharpness", "colour", "clipped")
EDGE_OF_RANGE = 2  # grey levels of 255


def appearance(image: Image.Image) -> dict[str, float]:
    """The three numbers of a picture.

    Returns:
        "sharpness": mean absolute step of the grey level from pixel to pixel, in grey levels of 255. "colour": mean distance
        of the largest channel from the smallest, [0, 255]. "clipped": share of channel values at an end of the range, [0, 1].
    """
    rgb = np.asarray(image.convert("RGB"), np.float64)
    grey = rgb @ np.asarray([0.299, 0.587, 0.114])
    steps = [np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1)]
    clipped = (rgb <= EDGE_OF_RANGE) | (rgb >= 255 - EDGE_OF_RANGE)
    return {"sharpness": float(np.mean(steps)), "colour": float(np.ptp(rgb, axis=2).mean()), "clipped": float(clipped.mean())}


def colour_distance(image: Image.Image, other: Image.Image) -> float:
    """How different the colours of two pictures of one size are, wherever they stand, in levels of 255; 0 for the same ones.

    It is the distance by which levels must be moved to make one histogram of the other (Wasserstein's, of order 1), averaged
    over red, green, blue, and the distance of the largest of them from the smallest.
    """
    first, second = (levels(one) for one in (image, other))
    return float(np.abs(first - second).mean())


def levels(image: Image.Image) -> NDArray[np.float64]:
    """The sorted levels of red, green, blue, and largest less smallest, (pixels, 4)."""
    rgb = np.asarray(image.convert("RGB"), np.float64)
    return np.sort(np.concatenate([rgb, np.ptp(rgb, axis=2, keepdims=True)], axis=2).reshape(-1, 4), axis=0)
