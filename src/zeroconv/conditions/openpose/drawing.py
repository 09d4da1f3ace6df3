"""Skeletons in the OpenPose colours, drawn from joints, hands and faces."""

import colorsys
from collections.abc import Iterable

import numpy as np
from PIL import Image

from zeroconv.conditions.openpose.keypoints import People

__all__ = ["BONES", "BONE_COLOURS", "COLOURS", "JOINTS", "LIMBS", "LIMB_BRIGHTNESS", "draw_pose", "limb_colour"]

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
THICKNESS = 8  # pixels of a limb, as ControlNet 1.1's annotators draw it at every size
SMALL = 256  # pixels of the shorter side up to which that would be too thick
SHIFT = 4  # sub-pixel bits of OpenCV's drawing


def draw_pose(people: np.ndarray | People, size: tuple[int, int], thickness: float | None = None) -> Image.Image:
    """A pose map: bodies, then hands, then faces.

    A hand has bones in the colours of the hue circle and small blue joints, a face small white dots.

    Args:
        people: with hands and faces; or bodies alone: (18, 3) for one person or (N, 18, 3), x and y in pixels and
            visibility or confidence (hidden at 0), in the order of `JOINTS`. Later people are drawn over earlier ones.
        size: width and height of the map in pixels.
        thickness: of limbs in pixels. None draws as the annotators of ControlNet 1.1 at every size, with tapering limbs 8 px
            wide and joints of radius 4; and maps up to 256 px as the tiny world's, with straight limbs 1/64 of the side wide.
    """
    people = People.of(people)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    if thickness is None and min(size) <= SMALL:
        width = max(1, round(min(size) / 64))
        draw_limbs, disc, knuckle, dot = draw_lines, 0.8 * width, width / 2, 3 / 8 * width
    else:
        width = max(1, round(thickness or THICKNESS))
        draw_limbs, disc, knuckle, dot = draw_ellipses, width / 2, width / 2, 3 / 8 * width
    for person in people.body:
        draw_limbs(canvas, person, LIMBS, map(limb_colour, COLOURS), width)
        draw_discs(canvas, person, COLOURS, disc)
    for hand in () if people.hands is None else people.hands.reshape(-1, *people.hands.shape[2:]):
        draw_lines(canvas, hand, BONES, BONE_COLOURS, max(1, round(width / 4)))
        draw_discs(canvas, hand, [KNUCKLE_COLOUR] * len(hand), knuckle)
    for face in () if people.face is None else people.face:
        draw_discs(canvas, face, [FACE_COLOUR] * len(face), dot)
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


def draw_ellipses(
    canvas: np.ndarray, points: np.ndarray, pairs: Iterable[tuple[int, int]], colours: Iterable[tuple[int, ...]], width: int
) -> None:
    """Ellipses whose longer axis lies between those pairs of points, (K, 3), of which both are visible."""
    import cv2

    for (a, b), colour in zip(pairs, colours, strict=False):
        if points[a, 2] > 0 and points[b, 2] > 0:
            (x, y), (dx, dy) = (points[a, :2] + points[b, :2]) / 2, points[b, :2] - points[a, :2]
            axes = (int(np.hypot(dx, dy) / 2), max(1, width // 2))
            outline = cv2.ellipse2Poly((int(x), int(y)), axes, round(float(np.degrees(np.arctan2(dy, dx)))), 0, 360, 1)
            cv2.fillConvexPoly(canvas, np.array(outline, np.int32), list(colour))


def draw_discs(canvas: np.ndarray, points: np.ndarray, colours: Iterable[tuple[int, ...]], radius: float) -> None:
    """Discs on those points, (K, 3), that are visible."""
    import cv2

    for point, colour in zip(points, colours, strict=True):
        if point[2] > 0:
            cv2.circle(canvas, to_fixed_point(point), round(radius * 2**SHIFT), list(colour), -1, cv2.LINE_AA, SHIFT)


def to_fixed_point(point: np.ndarray) -> tuple[int, int]:
    """A point's x and y as OpenCV takes parts of a pixel."""
    return round(float(point[0]) * 2**SHIFT), round(float(point[1]) * 2**SHIFT)
