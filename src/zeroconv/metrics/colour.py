"""Named colours in pixels: which share of them looks like each, in CIELAB (CIE 1976)."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["colour_shares", "srgb_to_lab"]

Numbers = NDArray[np.float32]


def srgb_to_lab(rgb: np.ndarray) -> Numbers:
    """CIE L*a*b* (N, 3) of sRGB colours (N, 3) in [0, 1], white point D65: L* in [0, 100], distances are ΔE*76."""
    import cv2

    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb, np.float32)[None], cv2.COLOR_RGB2Lab)[0])


def colour_shares(pixels: np.ndarray, looks: np.ndarray, index: np.ndarray, tolerance: float = 2.0) -> Numbers:
    """The share of pixels that look like each named colour: (max(index) + 1,), zeros without pixels.

    A pixel looks like the name of the nearest look, and like every name that is at most `tolerance` farther, since two
    colours can look alike in different light; so the shares add up to 1 or more.

    Args:
        pixels: (N, 3) sRGB in [0, 1].
        looks: (M, 3) sRGB in [0, 1]: how each name can look, in one or several rows.
        index: (M,) the name of each row.
        tolerance: ΔE*76.
    """
    count = int(index.max()) + 1
    if not len(pixels):
        return np.zeros(count, np.float32)
    distances = np.linalg.norm(srgb_to_lab(pixels)[:, None] - srgb_to_lab(looks)[None], axis=2)  # (N, M)
    nearest = np.stack([distances[:, index == name].min(1) for name in range(count)], 1)  # (N, names)
    return (nearest <= nearest.min(1, keepdims=True) + tolerance).mean(0, dtype=np.float32)
