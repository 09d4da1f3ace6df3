"""Masks: their inside and their connected parts."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["connected_parts", "interior"]

Mask = NDArray[np.bool_]


def interior(mask: Mask, least: int) -> Mask:
    """A mask without its border, one pixel wide, or the mask itself where fewer than `least` pixels were left.

    Args:
        mask: (H, W). The edge of the picture is no border.
        least: pixels.
    """
    import cv2

    inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE).astype(bool)
    return inside if inside.sum() >= least else mask


def connected_parts(mask: Mask, smallest: float) -> list[Mask]:
    """The parts of a mask (H, W) that hang together by sides or corners and cover at least this fraction of the picture."""
    import cv2

    count, index = cv2.connectedComponents(mask.astype(np.uint8))
    return [part for part in (index == number for number in range(1, count)) if part.mean() >= smallest]
