"""Human pose: 18 OpenPose joints and 17 limbs in the OpenPose colours on black; hands and faces where they are known."""

import colorsys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.contract import Condition, Contract, Halves, check_sizes, share_of
from zeroconv.conditions.measures import joints_met, oks
from zeroconv.conditions.people import People
from zeroconv.conditions.weights import methods_of

__all__ = [
    "BONES", "JOINTS", "LIMBS", "POSE", "draw_pose", "find_people", "find_whole_people", "joints_of", "pose",
    "pose_agreement", "pose_numbers",
]  # fmt: skip

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
MET = "joints met (PCK@0.05)"
THRESHOLD = 0.3  # confidence from which a person or a joint is believed
WITHIN = 0.05  # a joint counts as met within this share of the picture's width


def pose(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = THRESHOLD,
    device: str = "cpu",
    hands: bool = False,
    face: bool = False,
) -> Image.Image:
    """The pose map of a picture: RGB, of the same size; black when nobody is found.

    Takes what `find_people` takes, and raises what it raises. `hands` and `face` draw these too; a ValueError says so
    when the method does not find them, as "sapiens2" does.
    """
    return drawn(image, find_whole_people(image, method, weights, detector, threshold, device), method, hands, face)


def drawn(image: Image.Image, people: People, method: str, hands: bool, face: bool) -> Image.Image:
    """The map of the people of a picture."""
    for what, wanted, found in (("hands", hands, people.hands), ("face", face, people.face)):
        if wanted and found is None:
            raise ValueError(f"method {method} does not find what {what}=true draws; expected method=sapiens2, or {what}=false")
    return draw_pose(People(people.body, people.hands if hands else None, people.face if face else None), image.size)


def find_people(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = THRESHOLD,
    device: str = "cpu",
) -> np.ndarray:
    """The people of a picture: (N, 18, 3) float32, x and y in pixels and confidence, in the order of `JOINTS`.

    Args:
        image: any picture.
        method: "tiny" (the embedded annotator: one person, in pictures of the tiny world alone), "vitpose" or "sapiens2".
        weights: of the learned method: a folder or hub id instead of the published one.
        detector: of the person detector that it needs, likewise.
        threshold: confidence in [0, 1] from which a person or a joint is believed; other joints are 0.
        device: where learned networks run.

    Raises:
        ValueError: for an unknown method, a threshold out of range, or weights of another kind.
        FileNotFoundError: when weights are not here and cannot be fetched.
    """
    return find_whole_people(image, method, weights, detector, threshold, device).body


def find_whole_people(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = THRESHOLD,
    device: str = "cpu",
) -> People:
    """The people of a picture with their hands and faces, as far as the method finds them: see `find_people`."""
    return all_people([image], method, weights, detector, threshold, device)[0]


def all_people(
    images: Sequence[Image.Image],
    method: str,
    weights: str | Path | None,
    detector: str | Path | None,
    threshold: float,
    device: str,
) -> list[People]:
    """The people of each picture; the annotator sees all pictures together."""
    if method not in (known := ("tiny", *methods_of("pose"))):
        raise ValueError(f"pose method is {method!r}; expected one of {', '.join(known)}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"pose threshold is {threshold}; expected 0 … 1")
    if method != "tiny":
        from zeroconv.conditions.learned_pose import learned_people

        return [learned_people(image, method, weights, detector, threshold, device) for image in images]
    from zeroconv.conditions.annotator import annotate

    found = annotate(*images).joints().numpy()  # (B, 18, 3), x and y in [0, 1]
    people: list[People] = []
    for joints, image in zip(found, images, strict=True):
        joints = joints * np.array([*image.size, 1], np.float32) * (joints[:, 2:] >= threshold)
        people.append(People(joints[None] if joints.any() else np.zeros((0, len(JOINTS), 3), np.float32)))
    return people


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
        draw_lines(canvas, person, LIMBS, map(dimmed, COLOURS), width)
        draw_discs(canvas, person, COLOURS, 0.8 * width)
    for hand in () if people.hands is None else people.hands.reshape(-1, *people.hands.shape[2:]):
        draw_lines(canvas, hand, BONES, BONE_COLOURS, max(1, round(width / 4)))
        draw_discs(canvas, hand, [KNUCKLE_COLOUR] * len(hand), width / 2)
    for face in () if people.face is None else people.face:
        draw_discs(canvas, face, [FACE_COLOUR] * len(face), 3 / 8 * width)
    return Image.fromarray(canvas)


def dimmed(colour: Iterable[int]) -> tuple[int, ...]:
    """The colour of a limb, from that of a joint."""
    return tuple(int(channel * LIMB_BRIGHTNESS) for channel in colour)


def draw_lines(
    canvas: np.ndarray, points: np.ndarray, pairs: Iterable[tuple[int, int]], colours: Iterable[tuple[int, ...]], width: int
) -> None:
    """Lines between those pairs of points, (K, 3), of which both are visible."""
    import cv2

    for (a, b), colour in zip(pairs, colours, strict=False):
        if points[a, 2] > 0 and points[b, 2] > 0:
            cv2.line(canvas, fixed(points[a]), fixed(points[b]), list(colour), width, cv2.LINE_AA, SHIFT)


def draw_discs(canvas: np.ndarray, points: np.ndarray, colours: Iterable[tuple[int, ...]], radius: float) -> None:
    """Discs on those points, (K, 3), that are visible."""
    import cv2

    for point, colour in zip(points, colours, strict=True):
        if point[2] > 0:
            cv2.circle(canvas, fixed(point), round(radius * 2**SHIFT), list(colour), -1, cv2.LINE_AA, SHIFT)


def fixed(point: np.ndarray) -> tuple[int, int]:
    """A point's x and y as OpenCV takes parts of a pixel."""
    return round(float(point[0]) * 2**SHIFT), round(float(point[1]) * 2**SHIFT)


def joints_of(condition: Image.Image) -> dict[int, tuple[float, float]]:
    """Where a pose map has the joints of its body, read back from the discs' colours: index to (x, y) in [0, 1].

    Hands are drawn in these colours too: a joint is the largest spot that lies where a limb of its own ends.
    """
    import cv2

    rgb = np.asarray(condition.convert("RGB"), np.int32)
    side = 4 * max(1, round(min(condition.size) / 64)) + 1  # a disc is within half of it
    found: dict[int, tuple[float, float]] = {}
    for index, colour in enumerate(COLOURS):
        spots = painted(rgb, colour)
        if spots.any():
            limbs = [painted(rgb, dimmed(c)) for pair, c in zip(LIMBS, COLOURS, strict=False) if index in pair]
            solid = cv2.erode(np.any(limbs, axis=0).astype(np.uint8), np.ones((2, 2), np.uint8))  # no rim of something bright
            ending = spots & (cv2.dilate(solid, np.ones((side, side), np.uint8)) > 0)
            _, labels, sizes, _ = cv2.connectedComponentsWithStats((ending if ending.any() else spots).astype(np.uint8))
            ys, xs = np.nonzero(labels == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax())
            found[index] = ((float(np.median(xs)) + 0.5) / rgb.shape[1], (float(np.median(ys)) + 0.5) / rgb.shape[0])
    return found


def painted(rgb: np.ndarray, colour: Iterable[int]) -> np.ndarray:
    """Which of the pixels (H, W, 3), int32, have a colour, to 24 levels in all: (H, W)."""
    return np.abs(rgb - np.array(tuple(colour))).sum(axis=2) <= 24


def pose_agreement(
    image: Image.Image,
    condition: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    device: str = "cpu",
) -> float:
    """Share of a map's joints found within 5 % of the picture's width (PCK@0.05): [0, 1]; see `pose_numbers`."""
    return pose_numbers(image, condition, method, weights, detector, device)[MET]


def pose_numbers(
    image: Image.Image,
    condition: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    device: str = "cpu",
) -> dict[str, float]:
    """How well a person read back from a picture meets the one of its map, of several the one that does best.

    PCK@0.05: the share of the map's joints found within 5 % of the picture's width (Y. Yang and D. Ramanan, 2013).
    OKS: COCO's likeness, the person's area that of the box around its joints. A map without joints is obeyed: 1.

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size; of several people the largest counts.
        method: who reads the pose: "tiny" (pictures of the tiny world alone) or a network as in `find_people`.
        weights: of the network.
        detector: of the person detector that it needs.
        device: where it runs.

    Raises:
        ValueError: when sizes differ, or as `find_people`.
        FileNotFoundError: as `find_people`.
    """
    check_sizes(image, condition)
    joints = joints_of(condition)
    if not joints:
        return {MET: 1.0, "OKS": 1.0}
    wanted, visible = np.zeros((len(JOINTS), 2)), np.zeros(len(JOINTS))
    for index, place in joints.items():
        wanted[index], visible[index] = np.multiply(place, image.size), 1
    threshold = 0.0 if method == "tiny" else THRESHOLD  # the annotator always sees one person
    area = max(1.0, float(np.prod(np.ptp(wanted[visible > 0], axis=0))))
    scores = [(0.0, 0.0)]
    for person in find_people(image, method, weights, detector, threshold, device):
        found = np.where(person[:, 2:] >= threshold, person[:, :2], np.inf) if threshold else person[:, :2]
        scores.append((joints_met(found, wanted, visible, WITHIN, image.width), oks(found, wanted, visible, area)))
    return dict(zip((MET, "OKS"), max(scores), strict=True))


def limbs_met(condition: Image.Image) -> int:
    """How many limbs of a map have their own colour half-way between their joints (for one person)."""
    rgb, joints = np.asarray(condition.convert("RGB"), np.int32), joints_of(condition)
    met = 0
    for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
        if a in joints and b in joints:
            x = int((joints[a][0] + joints[b][0]) / 2 * rgb.shape[1])
            y = int((joints[a][1] + joints[b][1]) / 2 * rgb.shape[0])
            around = rgb[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            met += bool(painted(around, dimmed(colour)).any())
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
    f"OpenPose skeleton, 18 joints, hands and faces (method {', '.join(('tiny', *methods_of('pose')))})",
    Contract(
        "RGB map of the picture's size: joints and limbs of people in the OpenPose colours on black.",
        polarity="coloured joints and limbs on black",
        palette="OpenPose's 18 colours, each joint its own, limbs at 60 % of theirs; hands in 20 hues with blue joints, "
        "faces as white dots; smoothed at their rims",
        suits=(
            "lllyasviel/control_v11p_sd15_openpose", "lllyasviel/sd-controlnet-openpose",
            "thibaud/controlnet-sd21-openpose-diffusers", "thibaud/controlnet-openpose-sdxl-1.0",
            "xinsir/controlnet-openpose-sdxl-1.0",
        ),
    ),
    pose,
    pose_agreement,
    measure=MET,
    check=check,
    of_any_picture=False,
    halves=Halves(all_people, drawn),
    measures=pose_numbers,
)  # fmt: skip
