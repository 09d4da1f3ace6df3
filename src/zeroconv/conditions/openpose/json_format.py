"""Poses as JSON in OpenPose's layout: `people[].pose_keypoints_2d` and those of hands and faces, in and out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zeroconv.checkpoints import read_json
from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.conditions.openpose.keypoints import BODY, FACE, HAND, People

__all__ = ["people_from_json", "people_to_json", "read_people", "write_people"]

BODY_KEY, FACE_KEY = "pose_keypoints_2d", "face_keypoints_2d"
HAND_KEYS = ("hand_left_keypoints_2d", "hand_right_keypoints_2d")
# OpenPose's larger body model has 25 joints; these are the 18 among them, in our order.
BODY_25 = 25
FROM_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
IBUG = 68  # points of a face without the pupils
LARGEST = 2.0**20  # pixels


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


def people_from_json(document: Mapping[str, Any]) -> People:
    """The people of a document, with the hands and faces that are in it.

    Joints of OpenPose's model of 25 are brought to the 18; a face may have 68 points or 70. A person without joints of
    the body is left out.

    Raises:
        ValueError: when it is not in OpenPose's layout.
    """
    people = document.get("people")
    if not isinstance(people, list):
        raise ValueError(
            'this JSON has no list "people"; expected OpenPose\'s layout: {"people": [{"pose_keypoints_2d": […]}]}'
        )
    bodies, hands, faces = list[np.ndarray](), list[np.ndarray | None](), list[np.ndarray | None]()
    for number, person in enumerate(people):
        body = read_points(person, BODY_KEY, (BODY, BODY_25), number)
        if body is not None:
            bodies.append(body if len(body) == BODY else body[list(FROM_BODY_25)])
            hands += (read_points(person, key, (HAND,), number) for key in HAND_KEYS)
            faces.append(read_points(person, FACE_KEY, (FACE, IBUG), number))
    found = stack_parts(hands, HAND)
    return People(
        np.array(bodies, np.float32).reshape(-1, BODY, 3),
        None if found is None else found.reshape(-1, 2, HAND, 3),
        stack_parts(faces, FACE),
    )


def stack_parts(parts: list[np.ndarray | None], count: int) -> np.ndarray | None:
    """Parts of `count` points or fewer as (N, count, 3) float32, 0 where there are none; None when there are none at all."""
    if all(part is None for part in parts):
        return None
    known = [np.zeros((0, 3)) if part is None else part for part in parts]
    return np.array([np.concatenate([part, np.zeros((count - len(part), 3))]) for part in known], np.float32)


def read_points(person: Any, key: str, counts: tuple[int, ...], number: int) -> np.ndarray | None:
    """One part of a person, (K, 3) with K among `counts`; None when it is not there."""
    values = person.get(key) if isinstance(person, Mapping) else person
    if values is None or values == []:
        return None
    what = f'"{key}" of person {number}'
    if not isinstance(values, list) or len(values) not in [3 * count for count in counts]:
        got = f"{len(values)} values" if isinstance(values, list) else type(values).__name__
        expected = " or ".join(f"{3 * count} ({count} points)" for count in counts)
        raise ValueError(f"{what} has {got}; expected {expected}: x, y and confidence of each")
    if not all(isinstance(value, int | float) and abs(value) <= LARGEST for value in values):
        raise ValueError(f"{what} has a value that is no number in pixels; expected x, y and confidence of each point")
    return np.array(values, float).reshape(-1, 3)


def read_people(path: Path) -> tuple[People, tuple[int, int] | None]:
    """The people of a JSON file, as `people_from_json` gives them, and the picture's (width, height) if the file says it.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is not JSON, or not in OpenPose's layout.
    """
    document = read_json(path)
    try:
        people = people_from_json(document)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    size = document.get("canvas_width"), document.get("canvas_height")
    known = all(isinstance(side, int) and 1 <= side <= LARGEST for side in size)
    return people, (int(size[0] or 0), int(size[1] or 0)) if known else None


def write_people(path: Path, people: np.ndarray | People, size: tuple[int, int]) -> Path:
    """Write people as JSON, whole or not at all; `read_people` reads them back to a thousandth of a pixel.

    Raises:
        OSError: when the file cannot be written.
    """
    write_text(path, json.dumps(people_to_json(people, size)) + "\n")
    return path
