"""Where on a picture of the tiny world a thing's colour is: the pixels of its class, or a part of them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zeroconv.world.mentions import Place

__all__ = ["region_of"]

Mask = NDArray[np.bool_]

RIGHT_SHOULDER, LEFT_SHOULDER, RIGHT_HIP, LEFT_HIP = 2, 5, 8, 11
LEGS = ((RIGHT_HIP, 9, 10), (LEFT_HIP, 12, 13))
"""OpenPose's joints: hip, knee and ankle of both legs."""
ROOF, WALLS, SHADE = 0.2, 0.55, 0.45
"""Fractions of the height of a house above which all is roof and below which all is wall, and of a lamp above its foot."""
THICKNESS = 0.1
"""Half the width of a leg, and of each third of the torso, beside the length of the torso."""
FEW = 12
"""Pixels: where a part has fewer, the whole is taken."""


def region_of(place: Place, there: Mask, joints: np.ndarray) -> Mask:
    """The pixels that show a thing's colour.

    Args:
        place: of `zeroconv.world.mentions`.
        there: (H, W) the pixels of its class, some.
        joints: (18, 2) of the person in pixels, for clothes.
    """
    if place in ("roof", "shade"):
        part = there & ~below(there, ROOF if place == "roof" else SHADE)
    elif place == "walls":
        part = below(there, WALLS)
    elif place in ("shirt", "trousers"):
        width = THICKNESS * float(np.linalg.norm(joints[[RIGHT_HIP, LEFT_HIP]].mean(0) - joints[1]))
        part = there & near_lines(there.shape, torso(joints) if place == "shirt" else legs(joints), max(width, 1))
    else:
        return there
    return part if part.sum() >= FEW else there


def below(there: Mask, fraction: float) -> Mask:
    """The pixels of a region that are lower than this fraction of its height."""
    rows = np.flatnonzero(there.any(1))
    edge = rows[0] + (rows[-1] + 1 - rows[0]) * fraction
    return there & (np.arange(len(there))[:, None] >= edge)


Line = tuple[np.ndarray, np.ndarray]
"""Two ends, (2,) each."""


def torso(joints: np.ndarray) -> list[Line]:
    """From the shoulders towards the hips, without the belt: at the right, at the left and in the middle."""
    top, waist = joints[[RIGHT_SHOULDER, LEFT_SHOULDER]].mean(0), joints[[RIGHT_HIP, LEFT_HIP]].mean(0)
    right = joints[RIGHT_SHOULDER] * 0.8 + top * 0.2, joints[RIGHT_HIP] * 0.7 + top * 0.3
    left = joints[LEFT_SHOULDER] * 0.8 + top * 0.2, joints[LEFT_HIP] * 0.7 + top * 0.3
    return [right, left, (top * 0.8 + waist * 0.2, top * 0.3 + waist * 0.7)]


def legs(joints: np.ndarray) -> list[Line]:
    """From below the hips to above the shoes."""
    thighs = [(joints[hip] * 0.8 + joints[knee] * 0.2, joints[knee]) for hip, knee, _ in LEGS]
    return thighs + [(joints[knee], joints[knee] * 0.3 + joints[ankle] * 0.7) for _, knee, ankle in LEGS]


def near_lines(shape: tuple[int, ...], lines: Sequence[Line], distance: float) -> Mask:
    """The pixels of a picture of this shape (H, W) that are at most `distance` from a line between two points."""
    pixels = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), 2) + 0.5  # (H, W, 2): x, y
    near = np.zeros(shape, np.bool_)
    for start, end in lines:
        way = end - start
        along = np.clip((pixels - start) @ way / max(float(way @ way), 1e-9), 0, 1)[..., None]
        near |= np.linalg.norm(pixels - start - along * way, axis=2) <= distance
    return near
