"""Where on a picture of the tiny world a thing's colour is: the pixels of its class, or a part of them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from zeroconv.world.mentions import Place

__all__ = ["core", "pieces", "region_of"]

Mask = NDArray[np.bool_]

NECK, HIPS, SHOULDERS = 1, (8, 11), (2, 5)
LEGS = ((8, 9, 10), (11, 12, 13))
"""OpenPose's joints; hip, knee and ankle of both legs."""
FEW = 12
"""Pixels: a smaller region is taken as it is, with its border, or whole rather than in part."""


def region_of(place: Place, there: Mask, joints: np.ndarray) -> Mask:
    """The pixels that show a thing's colour.

    Args:
        place: of `zeroconv.world.mentions`.
        there: (H, W) the pixels of its class, some.
        joints: (18, 2) of the person in pixels, for clothes.
    """
    if place == "roof":
        part = there & ~below(there, 0.33)
    elif place == "shade":
        part = there & ~below(there, 0.45)
    elif place == "walls":
        part = below(there, 0.55)
    elif place == "shirt":
        part = there & torso(there.shape, joints)
    elif place == "trousers":
        part = there & legs(there.shape, joints)
    else:
        return there
    return part if part.sum() >= FEW else there


def below(there: Mask, fraction: float) -> Mask:
    """The pixels of a region that are lower than this fraction of its height."""
    rows = np.flatnonzero(there.any(1))
    edge = rows[0] + (rows[-1] + 1 - rows[0]) * fraction
    return there & (np.arange(len(there))[:, None] >= edge)


def torso(shape: tuple[int, ...], joints: np.ndarray) -> Mask:
    """Between shoulders and hips, without the belt."""
    shoulders, hips = joints[list(SHOULDERS)], joints[list(HIPS)]
    top, waist = shoulders.mean(0), hips.mean(0)
    canvas = np.zeros(shape, np.uint8)
    corners = [*(shoulders * 0.8 + top * 0.2), *(hips * 0.7 + top * 0.3)]
    cv2.fillConvexPoly(canvas, cv2.convexHull(np.round(corners).astype(np.int32)), 1)
    thickness = 2 * limb_width(joints)
    cv2.line(canvas, pixel(top * 0.8 + waist * 0.2), pixel(top * 0.3 + waist * 0.7), 1, thickness)
    return canvas.astype(bool)


def legs(shape: tuple[int, ...], joints: np.ndarray) -> Mask:
    """From below the hips to above the shoes."""
    canvas = np.zeros(shape, np.uint8)
    for hip, knee, ankle in LEGS:
        middle = pixel(joints[knee])
        cv2.line(canvas, pixel(joints[hip] * 0.8 + joints[knee] * 0.2), middle, 1, limb_width(joints))
        cv2.line(canvas, middle, pixel(joints[knee] * 0.3 + joints[ankle] * 0.7), 1, limb_width(joints))
    return canvas.astype(bool)


def limb_width(joints: np.ndarray) -> int:
    """Pixels inside a leg, from the length of the torso."""
    return max(round(float(np.linalg.norm(joints[list(HIPS)].mean(0) - joints[NECK])) * 0.2), 2)


def pixel(point: np.ndarray) -> tuple[int, int]:
    """A position as OpenCV takes it."""
    return int(point[0]), int(point[1])


def core(region: Mask) -> Mask:
    """A region without its border, where neighbouring things show through, unless little were left."""
    inside = cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE).astype(bool)
    return inside if inside.sum() >= FEW else region


def pieces(region: Mask, smallest: float) -> list[Mask]:
    """The connected parts of a region that cover at least this share of the picture."""
    count, index = cv2.connectedComponents(region.astype(np.uint8))
    return [part for part in (index == number for number in range(1, count)) if part.mean() >= smallest]
