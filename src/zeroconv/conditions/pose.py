"""Human pose: 18 OpenPose joints and 17 limbs in the OpenPose colours on black."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from zeroconv.conditions.contract import Condition, share_of

__all__ = ["JOINTS", "LIMBS", "POSE", "draw_pose", "joints_of", "pose_agreement"]

JOINTS = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255),
    (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
LIMB_BRIGHTNESS = 0.6
SHIFT = 4  # sub-pixel bits of OpenCV's drawing
WITHIN = 0.05  # a joint counts as met within this share of the picture's width


def draw_pose(keypoints: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A pose map.

    Args:
        keypoints: (18, 3): x and y in pixels and visibility (0 or 1), in the order of `JOINTS`.
        size: width and height of the map in pixels. At 128 limbs are 2 px wide; the width grows with the size.
    """
    import cv2

    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    width = max(1, round(min(size) / 64))
    fixed = [(round(float(x) * 2**SHIFT), round(float(y) * 2**SHIFT)) for x, y, _ in keypoints]
    for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
        if keypoints[a, 2] > 0 and keypoints[b, 2] > 0:
            dimmed = [int(channel * LIMB_BRIGHTNESS) for channel in colour]
            cv2.line(canvas, fixed[a], fixed[b], dimmed, width, cv2.LINE_AA, SHIFT)
    for (x, y), (_, _, visible), colour in zip(fixed, keypoints, COLOURS, strict=True):
        if visible > 0:
            cv2.circle(canvas, (x, y), round(0.8 * width * 2**SHIFT), list(colour), -1, cv2.LINE_AA, SHIFT)
    return Image.fromarray(canvas)


def joints_of(condition: Image.Image) -> dict[int, tuple[float, float]]:
    """Where a pose map has its joints, read back from the discs' colours: index to (x, y) in [0, 1]."""
    rgb = np.asarray(condition.convert("RGB"), np.int32)
    found: dict[int, tuple[float, float]] = {}
    for index, colour in enumerate(COLOURS):
        ys, xs = np.nonzero(np.abs(rgb - colour).sum(axis=2) <= 24)
        if len(xs):
            found[index] = ((float(np.median(xs)) + 0.5) / rgb.shape[1], (float(np.median(ys)) + 0.5) / rgb.shape[0])
    return found


def pose_agreement(image: Image.Image, condition: Image.Image) -> float:
    """Share of the map's joints that the annotator finds within 5 % of the picture's width (PCK@0.05): [0, 1].

    A map without joints is obeyed: 1.
    """
    from zeroconv.conditions.annotator import annotate

    wanted = joints_of(condition)
    if not wanted:
        return 1.0
    found: Sequence[Sequence[float]] = annotate(image).joints()[0].tolist()
    near = [np.hypot(found[i][0] - x, found[i][1] - y) <= WITHIN for i, (x, y) in wanted.items()]
    return float(np.mean(near))


def check(condition: Image.Image) -> list[str]:
    """Warnings for a pose map: a bright background, or no joint in the OpenPose colours."""
    bright = share_of(condition, lambda rgb: rgb.min(axis=2) > 127)
    if bright > 0.3:
        return [f"{bright:.0%} of this map is bright; expected the OpenPose colours on black"]
    if not joints_of(condition):
        return ["no joint in the OpenPose colours is on this map, so it controls nothing"]
    return []


POSE = Condition(
    "pose",
    "OpenPose skeleton, 18 joints",
    "RGB map of the picture's size: joints and limbs of people in the OpenPose colours on black.",
    fidelity=pose_agreement,
    measure="joints met (PCK@0.05)",
    check=check,
)
