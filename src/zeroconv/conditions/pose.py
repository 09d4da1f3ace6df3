"""Human pose: 18 OpenPose joints and 17 limbs in the OpenPose colours on black."""

from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.contract import Condition, check_sizes, share_of
from zeroconv.conditions.measures import joints_met
from zeroconv.conditions.weights import methods_of

__all__ = ["JOINTS", "LIMBS", "POSE", "draw_pose", "find_people", "joints_of", "pose", "pose_agreement"]

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


def pose(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = 0.3,
    device: str = "cpu",
) -> Image.Image:
    """The pose map of a picture: RGB, of the same size; black when nobody is found.

    Takes what `find_people` takes, and raises what it raises.
    """
    return draw_pose(find_people(image, method, weights, detector, threshold, device), image.size)


def find_people(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = 0.3,
    device: str = "cpu",
) -> np.ndarray:
    """The people of a picture: (N, 18, 3) float32, x and y in pixels and confidence, in the order of `JOINTS`.

    Args:
        image: any picture.
        method: "tiny" (the embedded annotator: one person, in pictures of the tiny world alone) or "vitpose".
        weights: of ViTPose: a folder or hub id instead of the published one.
        detector: of the person detector of "vitpose", likewise.
        threshold: confidence in [0, 1] from which a person or a joint is believed; other joints are 0.
        device: where learned networks run.

    Raises:
        ValueError: for an unknown method, a threshold out of range, or weights of another kind.
        FileNotFoundError: when weights are not here and cannot be fetched.
    """
    if method not in (known := ("tiny", *methods_of("pose"))):
        raise ValueError(f"pose method is {method!r}; expected one of {', '.join(known)}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"pose threshold is {threshold}; expected 0 … 1")
    if method != "tiny":
        from zeroconv.conditions.learned_pose import learned_people

        return learned_people(image, weights, detector, threshold, device)
    from zeroconv.conditions.annotator import annotate

    joints = annotate(image).joints()[0].numpy() * np.array([*image.size, 1], np.float32)
    joints[joints[:, 2] < threshold] = 0
    return joints[None] if joints.any() else np.zeros((0, len(JOINTS), 3), np.float32)


def draw_pose(keypoints: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """A pose map.

    Args:
        keypoints: (18, 3) for one person or (N, 18, 3): x and y in pixels and visibility or confidence (hidden at 0),
            in the order of `JOINTS`. Later people are drawn over earlier ones.
        size: width and height of the map in pixels. At 128 limbs are 2 px wide; the width grows with the size.
    """
    import cv2

    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    width = max(1, round(min(size) / 64))
    for person in np.asarray(keypoints).reshape(-1, len(JOINTS), 3):
        fixed = [(round(float(x) * 2**SHIFT), round(float(y) * 2**SHIFT)) for x, y, _ in person]
        for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
            if person[a, 2] > 0 and person[b, 2] > 0:
                dimmed = [int(channel * LIMB_BRIGHTNESS) for channel in colour]
                cv2.line(canvas, fixed[a], fixed[b], dimmed, width, cv2.LINE_AA, SHIFT)
        for (x, y), (_, _, visible), colour in zip(fixed, person, COLOURS, strict=True):
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

    Raises:
        ValueError: when sizes differ.
    """
    from zeroconv.conditions.annotator import annotate

    check_sizes(image, condition)
    wanted = joints_of(condition)
    if not wanted:
        return 1.0
    found = annotate(image).joints()[0, list(wanted), :2].numpy()
    return joints_met(found, np.array(list(wanted.values())), np.ones(len(wanted)), WITHIN)


def limbs_met(condition: Image.Image) -> int:
    """How many limbs of a map have their own colour half-way between their joints (for one person)."""
    rgb, joints = np.asarray(condition.convert("RGB"), np.int32), joints_of(condition)
    met = 0
    for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
        if a in joints and b in joints:
            x = int((joints[a][0] + joints[b][0]) / 2 * rgb.shape[1])
            y = int((joints[a][1] + joints[b][1]) / 2 * rgb.shape[0])
            around = rgb[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            met += bool((np.abs(around - np.multiply(colour, LIMB_BRIGHTNESS).astype(int)).sum(axis=2) <= 24).any())
    return met


def check(condition: Image.Image) -> list[str]:
    """Warnings for a pose map: a bright background, nobody, no joint in the OpenPose colours, channels swapped.

    The colours of the joints go round the hue circle and are the same with red and blue swapped; the limbs then join
    the wrong ones.
    """
    bright = share_of(condition, lambda rgb: rgb.min(axis=2) > 127)
    if bright > 0.3:
        return [f"this map looks inverted: {bright:.0%} of it is bright, expected the OpenPose colours on black"]
    if share_of(condition, lambda rgb: rgb.max(axis=2) > 0) == 0:
        return ["this map is black: nobody is on it, so it controls nothing"]
    if not joints_of(condition):
        return ["no joint in the OpenPose colours is on this map, so it controls nothing"]
    red, green, blue = condition.convert("RGB").split()
    met, swapped = limbs_met(condition), limbs_met(Image.merge("RGB", (blue, green, red)))
    if swapped > max(1, 2 * met):
        return [f"this map looks BGR: {swapped} limbs join the right joints with red and blue swapped, {met} as it is"]
    return []


POSE = Condition(
    "pose",
    f"OpenPose skeleton, 18 joints (method {', '.join(('tiny', *methods_of('pose')))})",
    "RGB map of the picture's size: joints and limbs of people in the OpenPose colours on black.",
    pose,
    pose_agreement,
    measure="joints met (PCK@0.05)",
    check=check,
    of_any_picture=False,
)
