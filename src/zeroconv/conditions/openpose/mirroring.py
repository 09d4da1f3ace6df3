"""A pose map with left and right exchanged: its colours say which is which, so they are exchanged, too."""

import numpy as np
from PIL import Image, ImageOps

from zeroconv.conditions.openpose.drawing import COLOURS, JOINTS, LIMBS, limb_colour
from zeroconv.conditions.openpose.reading import PoseMap

__all__ = ["mirror_pose"]

EXACT = 12  # levels in all by which a colour may differ: hands have hues that are near those of joints
RIM = 3  # pixels: how far smoothed rims reach


def counterpart(joint: int) -> int:
    """The joint on the other side; the nose and the neck are their own."""
    name = JOINTS[joint]
    side = {"left": "right", "right": "left"}.get(name.split()[0])
    return joint if side is None else JOINTS.index(f"{side} {name.split()[1]}")


MIRRORED_LIMBS = [next(i for i, pair in enumerate(LIMBS) if set(pair) == {counterpart(a), counterpart(b)}) for a, b in LIMBS]
PARTS = np.array([*COLOURS, *(limb_colour(colour) for colour in COLOURS[: len(LIMBS)])], np.float32)
"""Colours of the joints, then of the limbs."""
OTHER = np.array([*(counterpart(i) for i in range(len(JOINTS))), *(len(JOINTS) + limb for limb in MIRRORED_LIMBS)])


def mirror_pose(condition: Image.Image) -> Image.Image:
    """The map of the mirrored people: a right arm becomes a left one, in place and in colour; hands and faces stay theirs.

    Args:
        condition: a map in OpenPose's colours, RGB.
    """
    import cv2

    turned = PoseMap(np.ascontiguousarray(np.asarray(ImageOps.mirror(condition.convert("RGB")))), EXACT)
    classes = turned.classes.astype(np.int32)
    for joint in range(len(JOINTS)):
        classes[(classes == joint) & ~at_own_limbs(classes, joint)] = -1  # a knuckle, or a finger
    known = classes >= 0
    if not known.any():
        return Image.fromarray(turned.rgb)
    distances, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.asarray(labels, np.intp)
    part_of_label = np.full(nearest.max() + 1, -1)
    part_of_label[nearest[known]] = classes[known]
    rim = turned.lit & ~known & (turned.classes < 0) & (distances <= RIM)
    part = np.where(known, classes, np.where(rim, part_of_label[nearest], -1))
    moved = (part >= 0) & (OTHER[part] != part)
    rgb = turned.rgb.copy()
    share = turned.brightest[moved, None] / PARTS[part[moved]].max(axis=1, keepdims=True)  # of the colour, at a rim
    rgb[moved] = np.clip(PARTS[OTHER[part[moved]]] * share, 0, 255).round()
    return Image.fromarray(rgb)


def at_own_limbs(classes: np.ndarray, joint: int) -> np.ndarray:
    """Where spots of a joint's colour lie at the end of one of its limbs: (H, W) bool."""
    import cv2

    spots = (classes == joint).astype(np.uint8)
    if not spots.any():
        return spots > 0
    limbs = np.isin(classes, [len(JOINTS) + limb for limb, pair in enumerate(LIMBS) if joint in pair])
    near = cv2.dilate(limbs.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    _, labels = cv2.connectedComponents(spots, connectivity=8)
    touching = np.unique(labels[near & (spots > 0)])
    return np.isin(labels, touching[touching > 0])
