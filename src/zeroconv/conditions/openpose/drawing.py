"""Skeletons in the OpenPose colours: drawn from joints, hands and faces, and joints read back from a map."""

import colorsys
from collections.abc import Iterable

import numpy as np
from PIL import Image

from zeroconv.conditions.openpose.keypoints import People

__all__ = ["BONES", "COLOURS", "JOINTS", "LIMBS", "LIMB_BRIGHTNESS", "count_limbs", "draw_pose", "read_joints"]

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
BONES = tuple((0 if i % 4 == 0 else i, i + 1) for i in range(20))  # of a hand: five fingers of four from the wrist on
BONE_COLOURS = tuple(tuple(round(255 * part) for part in colorsys.hsv_to_rgb(i / 20, 1, 1)) for i in range(20))
KNUCKLE_COLOUR, FACE_COLOUR = (0, 0, 255), (255, 255, 255)
SHIFT = 4  # sub-pixel bits of OpenCV's drawing


def draw_pose(people: np.ndarray | People, size: tuple[int, int]) -> Image.Image:
    """A pose map, drawn as the annotators of ControlNet 1.1 draw it: bodies, then hands, then faces.

    A hand has bones in the colours of the hue circle and small blue joints, a face small white dots.

    Args:
        people: with hands and faces; or bodies alone: (18, 3) for one person or (N, 18, 3), x and y in pixels and
            visibility or confidence (hidden at 0), in the order of `JOINTS`. Later people are drawn over earlier ones.
        size: width and height of the map in pixels. At 128 limbs are 2 px wide; the width grows with the size.
    """
    people = People.of(people)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    width = max(1, round(min(size) / 64))
    for person in people.body:
        draw_lines(canvas, person, LIMBS, map(limb_colour, COLOURS), width)
        draw_discs(canvas, person, COLOURS, 0.8 * width)
    for hand in () if people.hands is None else people.hands.reshape(-1, *people.hands.shape[2:]):
        draw_lines(canvas, hand, BONES, BONE_COLOURS, max(1, round(width / 4)))
        draw_discs(canvas, hand, [KNUCKLE_COLOUR] * len(hand), width / 2)
    for face in () if people.face is None else people.face:
        draw_discs(canvas, face, [FACE_COLOUR] * len(face), 3 / 8 * width)
    return Image.fromarray(canvas)


def limb_colour(colour: Iterable[int]) -> tuple[int, ...]:
    """The colour of a limb, from that of a joint."""
    return tuple(int(channel * LIMB_BRIGHTNESS) for channel in colour)


def draw_lines(
    canvas: np.ndarray, points: np.ndarray, pairs: Iterable[tuple[int, int]], colours: Iterable[tuple[int, ...]], width: int
) -> None:
    """Lines between those pairs of points, (K, 3), of which both are visible."""
    import cv2

    for (a, b), colour in zip(pairs, colours, strict=False):
        if points[a, 2] > 0 and points[b, 2] > 0:
            cv2.line(canvas, to_fixed_point(points[a]), to_fixed_point(points[b]), list(colour), width, cv2.LINE_AA, SHIFT)


def draw_discs(canvas: np.ndarray, points: np.ndarray, colours: Iterable[tuple[int, ...]], radius: float) -> None:
    """Discs on those points, (K, 3), that are visible."""
    import cv2

    for point, colour in zip(points, colours, strict=True):
        if point[2] > 0:
            cv2.circle(canvas, to_fixed_point(point), round(radius * 2**SHIFT), list(colour), -1, cv2.LINE_AA, SHIFT)


def to_fixed_point(point: np.ndarray) -> tuple[int, int]:
    """A point's x and y as OpenCV takes parts of a pixel."""
    return round(float(point[0]) * 2**SHIFT), round(float(point[1]) * 2**SHIFT)


def read_joints(condition: Image.Image) -> dict[int, tuple[float, float]]:
    """Where a pose map has the joints of its body, read back from the discs' colours: index to (x, y) in [0, 1].

    Hands are drawn in these colours too: a joint is the largest spot that lies where a limb of its own ends.
    """
    import cv2

    rgb = np.asarray(condition.convert("RGB"), np.int32)
    side = 4 * max(1, round(min(condition.size) / 64)) + 1  # a disc is within half of it
    found: dict[int, tuple[float, float]] = {}
    for index, colour in enumerate(COLOURS):
        spots = find_colour(rgb, colour)
        if spots.any():
            limbs = [find_colour(rgb, limb_colour(c)) for pair, c in zip(LIMBS, COLOURS, strict=False) if index in pair]
            solid = cv2.erode(np.any(limbs, axis=0).astype(np.uint8), np.ones((2, 2), np.uint8))  # no rim of something bright
            ending = spots & (cv2.dilate(solid, np.ones((side, side), np.uint8)) > 0)
            _, labels, sizes, _ = cv2.connectedComponentsWithStats((ending if ending.any() else spots).astype(np.uint8))
            ys, xs = np.nonzero(labels == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax())
            found[index] = ((float(np.median(xs)) + 0.5) / rgb.shape[1], (float(np.median(ys)) + 0.5) / rgb.shape[0])
    return found


def find_colour(rgb: np.ndarray, colour: Iterable[int]) -> np.ndarray:
    """Which of the pixels (H, W, 3), int32, have a colour, to 24 levels in all: (H, W)."""
    return np.abs(rgb - np.array(tuple(colour))).sum(axis=2) <= 24


def count_limbs(condition: Image.Image) -> int:
    """How many limbs of a map have their own colour half-way between their joints (for one person)."""
    rgb, joints = np.asarray(condition.convert("RGB"), np.int32), read_joints(condition)
    count = 0
    for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
        if a in joints and b in joints:
            x = int((joints[a][0] + joints[b][0]) / 2 * rgb.shape[1])
            y = int((joints[a][1] + joints[b][1]) / 2 * rgb.shape[0])
            around = rgb[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            count += bool(find_colour(around, limb_colour(colour)).any())
    return count
