"""Poses as JSON in OpenPose's layout: `people[].pose_keypoints_2d` and those of hands and faces, in and out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zeroconv.checkpoints.files.atomic import JSON_BYTES, write_text
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.openpose.keypoints import BODY, FACE, HAND, People
from zeroconv.errors import InputError
from zeroconv.images import MAX_PIXELS

__all__ = ["draw_document", "people_from_json", "people_to_json", "read_people", "write_people"]

BODY_KEY, FACE_KEY = "pose_keypoints_2d", "face_keypoints_2d"
HAND_KEYS = ("hand_left_keypoints_2d", "hand_right_keypoints_2d")
# OpenPose's larger body model has 25 joints; these are the 18 among them, in our order.
BODY_25 = 25
FROM_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
IBUG = 68  # points of a face without the pupils
LARGEST = 2.0**20  # pixels
SHARE = 1.5  # a point this far outside a canvas of side 1 is in pixels
NO_CANVAS = (512, 512)
EXPECTED = 'expected OpenPose\'s layout: {"people": [{"pose_keypoints_2d": [x, y, confidence, …]}]}'


def people_to_json(people: np.ndarray | People, size: tuple[int, int]) -> dict[str, Any]:
    """People as a document.

    Args:
        people: with hands and faces; or bodies alone, (N, 18, 3) or (18, 3): x and y in pixels and confidence, in the
            order of `JOINTS`.
        size: width and height of the picture.
    """
    people = People.of(people)
    parts = {BODY_KEY: people.body}
    if people.face is not None:
        parts[FACE_KEY] = people.face
    if people.hands is not None:
        parts |= zip(HAND_KEYS, people.hands.swapaxes(0, 1), strict=True)
    return {
        "version": 1.3,
        "canvas_width": size[0],
        "canvas_height": size[1],
        "people": [
            {key: np.asarray(part[i], float).ravel().round(3).tolist() for key, part in parts.items()}
            for i in range(len(people.body))
        ],
    }


def people_from_json(document: Any) -> People:
    """The people of a document, with the hands and faces that are in it.

    Joints of OpenPose's model of 25 are brought to the 18; a face may have 68 points or 70. A list of one frame is that frame.
    Coordinates that are all between 0 and 1 are shares of the canvas, and are brought to its pixels (of 512 x 512 if the
    document names no canvas). Points that are null are hidden. A person without joints of the body, hands or face is left out.

    Raises:
        ValueError: when it is not in OpenPose's layout.
    """
    document = frame_of(document)
    people = document.get("people")
    if not isinstance(people, list):
        raise ValueError(f'this JSON has no list "people"; {EXPECTED}')
    bodies, hands, faces = list[np.ndarray](), list[np.ndarray | None](), list[np.ndarray | None]()
    for number, person in enumerate(people):
        body = read_points(person, BODY_KEY, (BODY, BODY_25), number)
        both = [read_points(person, key, (HAND,), number) for key in HAND_KEYS]
        face = read_points(person, FACE_KEY, (FACE, IBUG), number)
        if body is None and face is None and both == [None, None]:
            continue
        body = np.zeros((BODY, 3)) if body is None else body
        bodies.append(body if len(body) == BODY else body[list(FROM_BODY_25)])
        hands += both
        faces.append(face)
    found = stack_parts(hands, HAND)
    joined = People(
        np.array(bodies, np.float32).reshape(-1, BODY, 3),
        None if found is None else found.reshape(-1, 2, HAND, 3),
        stack_parts(faces, FACE),
    )
    return to_pixels(joined, canvas_of(document) or NO_CANVAS)


def frame_of(document: Any) -> Mapping[str, Any]:
    """The one frame of a document.

    Raises:
        ValueError: when it is another kind of JSON, or a film.
    """
    if isinstance(document, list):
        if len(document) != 1:
            raise ValueError(f"this JSON is a list of {len(document)} frames; expected one")
        document = document[0]
    if not isinstance(document, Mapping):
        raise ValueError(f"this JSON is a {type(document).__name__}; {EXPECTED}")
    return document


def canvas_of(document: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height of the picture that a document speaks of; None if it does not say them."""
    size = document.get("canvas_width"), document.get("canvas_height")
    known = all(isinstance(side, int | float) and 1 <= side <= LARGEST for side in size)
    return (int(size[0] or 0), int(size[1] or 0)) if known else None


def to_pixels(people: People, size: tuple[int, int]) -> People:
    """Shares of a canvas as its pixels; people that are in pixels already as they are."""
    parts = [part for part in (people.body, people.hands, people.face) if part is not None]
    visible = np.concatenate([part[part[..., 2] > 0][:, :2].reshape(-1, 2) for part in parts])
    if not len(visible) or visible.max() > SHARE or visible.min() < 1 - SHARE:
        return people
    return scale_people(people, size)


def scale_people(people: People, factors: tuple[float, float]) -> People:
    """The same with x and y multiplied."""
    by = np.array([*factors, 1], np.float32)
    hands, face = (None if part is None else part * by for part in (people.hands, people.face))
    return People(people.body * by, hands, face)


def draw_document(path: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """The pose map of a JSON file.

    Args:
        path: of the file.
        size: width and height of the map; the canvas is stretched to it. None is the canvas.

    Raises:
        OSError: when it cannot be read.
        InputError: when it is not JSON, not in OpenPose's layout, or names no canvas and no size is asked for.
    """
    people, canvas = read_people(path)
    if size is None and canvas is None:
        raise InputError(f"{path} names no canvas_width and canvas_height; expected them, or a size", field="condition")
    size = size or canvas or NO_CANVAS
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(f"{path} has a canvas of {size[0]}x{size[1]}; expected at most {MAX_PIXELS} pixels", field="condition")
    if canvas is not None:
        people = scale_people(people, (size[0] / canvas[0], size[1] / canvas[1]))
    return draw_pose(people, size)


def stack_parts(parts: list[np.ndarray | None], count: int) -> np.ndarray | None:
    """Parts of `count` points or fewer as (N, count, 3) float32, 0 where there are none; None when there are none at all."""
    if all(part is None for part in parts):
        return None
    known = [np.zeros((0, 3)) if part is None else part for part in parts]
    return np.array([np.concatenate([part, np.zeros((count - len(part), 3))]) for part in known], np.float32)


def read_points(person: Any, key: str, counts: tuple[int, ...], number: int) -> np.ndarray | None:
    """One part of a person, (K, 3) with K among `counts`; None when it is not there."""
    if not isinstance(person, Mapping):
        raise ValueError(f"person {number} is a {type(person).__name__}; {EXPECTED}")
    values = person.get(key)
    if values is None or values == []:
        return None
    if isinstance(values, list):
        values = [0 if value is None else value for value in values]
    what = f'"{key}" of person {number}'
    if not isinstance(values, list) or len(values) not in [3 * count for count in counts]:
        got = f"{len(values)} values" if isinstance(values, list) else type(values).__name__
        expected = " or ".join(f"{3 * count} ({count} points)" for count in counts)
        raise ValueError(f"{what} has {got}; expected {expected}: x, y and confidence of each")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST for value in values):
        raise ValueError(f"{what} has a value that is no number in pixels; expected x, y and confidence of each point")
    return np.array(values, float).reshape(-1, 3)


def read_people(path: Path) -> tuple[People, tuple[int, int] | None]:
    """The people of a JSON file, as `people_from_json` gives them, and the picture's (width, height) if the file says it.

    Raises:
        OSError: when it cannot be read.
        InputError: when it is not JSON, or not in OpenPose's layout.
    """
    try:
        if path.stat().st_size > JSON_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes; expected at most {JSON_BYTES}")
        document = json.loads(path.read_bytes())
        people = people_from_json(document)
    except RecursionError as error:
        raise InputError(f"{path}: this JSON is nested too deep; {EXPECTED}", field="condition") from error
    except ValueError as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}", field="condition") from error
    return people, canvas_of(frame_of(document))


def write_people(path: Path, people: np.ndarray | People, size: tuple[int, int]) -> Path:
    """Write people as JSON, whole or not at all; `read_people` reads them back to a thousandth of a pixel.

    Raises:
        OSError: when the file cannot be written.
    """
    write_text(path, json.dumps(people_to_json(people, size)) + "\n")
    return path
