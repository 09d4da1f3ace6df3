"""Human pose by BlazePose's files, on any processor: a detector finds people, a second network 33 points of each.

V. Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking", 2020, arXiv 2006.10204. The two files are
`pose_detection.tflite` and `pose_landmark_full.tflite` (or `_lite`, `_heavy`), Apache-2.0, as MediaPipe's package carries
them; what is done around the networks is what its graphs say.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from zeroconv.conditions.openpose.keypoints import People
from zeroconv.errors import InputError

__all__ = ["blazepose_people", "find_file"]

DETECTOR, LANDMARKS = "pose_detection.tflite", "pose_landmark_*.tflite"
STRIDES = (8, 16, 32, 32, 32)
"""Of the detector's five levels; each of its places has two anchors."""
BOXES, POINTS = 12, 39
"""Numbers of a box (centre, size, four points of a body), and points of a person, the last six of them helpers."""
OVERLAP = 0.3  # of two boxes that are one person
LARGER = 1.25  # a person's frame, than the circle around the body
MOST = 32  # people in one picture
REACH, SURE = 3, 0.5  # places of a heat map around a point that are looked at, and the confidence from which they count
BODY = (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
"""Each of OpenPose's 18 joints among the 33 points; the neck is between the shoulders."""
NECK, SHOULDERS = 1, (2, 5)


class Frame(NamedTuple):
    """A square around a person, in pixels.

    Attributes:
        x: of its middle.
        y: of its middle.
        side: of the square.
        angle: by which it is turned, in radians, so that the person stands upright in it.
    """

    x: float
    y: float
    side: float
    angle: float


def blazepose_people(
    image: Image.Image, weights: str | Path | None, detector: str | Path | None, threshold: float = 0.3
) -> People:
    """The people of a picture, bodies alone.

    Args:
        image: any picture.
        weights: the file of the points, or a folder that has it and the detector's, at any depth.
        detector: the file of the detector; looked for beside `weights` if left out.
        threshold: confidence in [0, 1] from which a person or a joint is believed; other joints are 0.

    Raises:
        FileNotFoundError: when a file is not there, or the reader of such files is not installed.
        ValueError: when a file is of another kind.
    """
    find = open_file(find_file(detector or weights, DETECTOR), (1, 2254, BOXES), "BlazePose's detector")
    mark = open_file(find_file(weights, LANDMARKS), (1, POINTS * 5), "BlazePose's landmarks")
    rgb = np.asarray(image.convert("RGB"))
    bodies = [mark_points(mark, rgb, frame) for frame in find_frames(find, rgb, max(threshold, 0.1))]
    people = [to_openpose(points) for sure, points in bodies if sure >= threshold]
    found = People(np.stack(people) if people else np.zeros((0, len(BODY), 3), np.float32))
    return found.drop_uncertain(threshold)


def find_file(given: str | Path | None, name: str) -> Path:
    """The file of that name that was given, lies in the folder that was given, or beside the file that was given.

    Raises:
        FileNotFoundError: saying where such files come from.
    """
    place = None if given is None else Path(given)
    if place is not None and place.is_file() and place.match(name):
        return place
    if place is not None and place.exists():
        around = place if place.is_dir() else place.parent
        if found := sorted(around.rglob(name)):
            return found[0]
    raise FileNotFoundError(
        f"blazepose found no {name.replace('*', 'full')} at {given}: expected a folder with it and its companion, as in "
        "MediaPipe's package, a zip (pip download --no-deps mediapipe==0.10.21); give it as --set weights=FOLDER"
    )


@lru_cache(maxsize=4)
def open_file(path: Path, shape: tuple[int, ...], what: str) -> Any:
    """A network of a `.tflite` file, ready to run on one picture.

    Raises:
        FileNotFoundError: when its reader is not installed.
        ValueError: when the file is broken, or another network.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise FileNotFoundError("blazepose reads its files with ai-edge-litert: pip install 'zeroconv[blazepose]'") from None
    try:
        network = Interpreter(model_path=str(path), num_threads=1)
        network.allocate_tensors()
        details: Any = network.get_output_details()
        shapes = [tuple(int(side) for side in one["shape"]) for one in details]
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as a .tflite file: {str(error).splitlines()[0]:.100}") from error
    if shape not in shapes:
        raise InputError(f"{path} is not {what}: it gives {shapes}, expected {shape} among them", field="weights")
    return network


def run(network: Any, pixels: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    """What a network gives for one picture (S, S, 3), by the shapes."""
    network.set_tensor(network.get_input_details()[0]["index"], pixels[None].astype(np.float32))
    network.invoke()
    found = (network.get_tensor(one["index"]) for one in network.get_output_details())
    return {tuple(one.shape): one for one in found}


def side_of(network: Any) -> int:
    """Pixels of the square that a network sees."""
    return int(network.get_input_details()[0]["shape"][1])


def anchors(side: int) -> np.ndarray:
    """The middles of the detector's anchors as shares of the square: (2254, 2); levels of one stride share their places."""
    rows: list[np.ndarray] = []
    for stride in dict.fromkeys(STRIDES):
        count = side // stride
        centres = (np.arange(count) + 0.5) / count
        grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
        rows.append(np.repeat(grid, 2 * STRIDES.count(stride), axis=0))
    return np.concatenate(rows)


def find_frames(network: Any, rgb: np.ndarray, threshold: float) -> list[Frame]:
    """A frame for each person, the surest first.

    Args:
        network: of the detector.
        rgb: (H, W, 3) uint8.
        threshold: confidence of a person.
    """
    side, (height, width) = side_of(network), rgb.shape[:2]
    longer = max(height, width)
    whole = Frame(width / 2, height / 2, longer, 0)
    found = run(network, cut(rgb, whole, side) / 127.5 - 1)
    numbers, scores = found[1, 2254, BOXES][0] / side, found[1, 2254, 1][0, :, 0]
    sure = 1 / (1 + np.exp(-scores.clip(-50, 50)))
    keep = sure >= threshold
    places = anchors(side)[keep]
    numbers, sure = numbers[keep], sure[keep]
    boxes = np.concatenate([places + numbers[:, :2], numbers[:, 2:4]], axis=1)
    points = places[:, None] + numbers[:, 4:].reshape(-1, 4, 2)
    offset = np.array([(longer - width) / 2, (longer - height) / 2])
    frames: list[Frame] = []
    for group in groups_of(boxes, sure)[:MOST]:
        weights = sure[group][:, None, None]
        middle, top = ((points[group] * weights).sum(axis=0) / weights.sum())[:2] * longer - offset
        reach = top - middle
        angle = np.pi / 2 - np.arctan2(-reach[1], reach[0])
        frames.append(Frame(float(middle[0]), float(middle[1]), float(2 * np.hypot(*reach) * LARGER), float(angle)))
    return frames


def groups_of(boxes: np.ndarray, sure: np.ndarray) -> list[np.ndarray]:
    """Which boxes are one person each, the surest person first; their mean, weighted by confidence, is the person's.

    Args:
        boxes: middle and size of each, (N, 4).
        sure: confidences, (N,).
    """
    left, groups = np.argsort(-sure, kind="stable"), list[np.ndarray]()
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    areas = np.prod(boxes[:, 2:], axis=1)
    while len(left):
        first = left[0]
        sides = (np.minimum(high[left], high[first]) - np.maximum(low[left], low[first])).clip(min=0)
        inside = sides.prod(axis=1)
        same = inside / np.maximum(areas[left] + areas[first] - inside, 1e-9) > OVERLAP
        same[0] = True
        groups.append(left[same])
        left = left[~same]
    return groups


def cut(rgb: np.ndarray, frame: Frame, side: int) -> np.ndarray:
    """A frame of a picture as a square of `side` pixels, black beyond the picture's border: (side, side, 3) float32."""
    import cv2

    to_picture = matrix_of(frame, side)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(rgb, to_picture, (side, side), flags=flags, borderMode=cv2.BORDER_CONSTANT).astype(np.float32)


def matrix_of(frame: Frame, side: int) -> np.ndarray:
    """From pixels of a cut square to pixels of the picture: (2, 3)."""
    scale, cos, sin = frame.side / side, np.cos(frame.angle), np.sin(frame.angle)
    turn = scale * np.array([[cos, -sin], [sin, cos]])
    middle = np.array([frame.x, frame.y]) - 0.5 - turn @ np.full(2, (side - 1) / 2)
    return np.concatenate([turn, middle[:, None]], axis=1)


def mark_points(network: Any, rgb: np.ndarray, frame: Frame) -> tuple[float, np.ndarray]:
    """How sure it is that a person is in a frame, and the points (33, 3): x and y in pixels, and how well each is seen."""
    side = side_of(network)
    found = run(network, cut(rgb, frame, side) / 255)
    points = found[1, POINTS * 5][0].reshape(POINTS, 5)[:33].copy()
    heat = next((one[0] for shape, one in found.items() if len(shape) == 4 and shape[-1] == POINTS), None)
    if heat is not None:
        points[:, :2] = sharpen(points[:, :2] / side, heat) * side
    there = np.concatenate([points[:, :2], np.ones((33, 1))], axis=1) @ matrix_of(frame, side).T
    seen = 1 / (1 + np.exp(-points[:, 3:].min(axis=1).clip(-50, 50)))  # of visibility and presence the lower one
    return float(found[1, 1][0, 0]), np.concatenate([there, seen[:, None]], axis=1)


def sharpen(places: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Places where the heat around them is sure of a point moved to its middle.

    Args:
        places: as shares of the square, (33, 2).
        heat: of each point, before the sigmoid, (h, w, 39).
    """
    height, width = heat.shape[:2]
    moved = places.copy()
    for index, (x, y) in enumerate((places * (width, height)).astype(int)):
        if not (0 <= x < width and 0 <= y < height):
            continue
        rows, columns = (np.arange(max(0, at - REACH), min(most, at + REACH + 1)) for at, most in ((y, height), (x, width)))
        sure = 1 / (1 + np.exp(-heat[np.ix_(rows, columns)][..., index].clip(-50, 50)))
        if sure.max() >= SURE:
            moved[index] = (sure.sum(axis=0) @ columns / sure.sum() / width, sure.sum(axis=1) @ rows / sure.sum() / height)
    return moved


def to_openpose(points: np.ndarray) -> np.ndarray:
    """BlazePose's 33 points as OpenPose's 18 joints, (18, 3)."""
    joints = points[list(BODY)].astype(np.float32)
    right, left = joints[list(SHOULDERS)]
    joints[NECK] = [*(right + left)[:2] / 2, min(right[2], left[2])]
    return joints
