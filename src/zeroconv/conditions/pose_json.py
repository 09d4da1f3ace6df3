"""Poses as JSON in OpenPose's layout: `people[].pose_keypoints_2d`, in and out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zeroconv.checkpoints import read_json

__all__ = ["people_of", "people_to_json", "read_people", "write_people"]

COUNT = 18
# OpenPose's larger body model has 25 joints; these are the 18 among them, in our order.
FROM_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
LARGEST = 2.0**20  # pixels


def people_to_json(people: np.ndarray, size: tuple[int, int]) -> dict[str, Any]:
    """People as a document.

    Args:
        people: (N, 18, 3) or (18, 3): x and y in pixels and confidence, in the order of `JOINTS`.
        size: width and height of the picture.
    """
    found = np.asarray(people, float).reshape(-1, COUNT, 3)
    return {
        "version": 1.3,
        "canvas_width": size[0],
        "canvas_height": size[1],
        "people": [{"pose_keypoints_2d": [round(value, 3) for value in one.ravel().tolist()]} for one in found],
    }


def people_of(document: Mapping[str, Any]) -> np.ndarray:
    """The people of a document: (N, 18, 3) float32, x and y in pixels and confidence.

    Joints of OpenPose's model of 25 are brought to the 18; a person without keypoints is left out.

    Raises:
        ValueError: when it is not in OpenPose's layout.
    """
    people = document.get("people")
    if not isinstance(people, list):
        raise ValueError(
            'this JSON has no list "people"; expected OpenPose\'s layout: {"people": [{"pose_keypoints_2d": […]}]}'
        )
    found = [joints_of_person(person, number) for number, person in enumerate(people)]
    return np.array([joints for joints in found if joints is not None], np.float32).reshape(-1, COUNT, 3)


def joints_of_person(person: Any, number: int) -> np.ndarray | None:
    """One person's joints (18, 3); None when there are none."""
    told = person.get("pose_keypoints_2d") if isinstance(person, Mapping) else person
    if told is None or told == []:
        return None
    what = f'"pose_keypoints_2d" of person {number}'
    if not isinstance(told, list) or len(told) not in (3 * COUNT, 3 * 25):
        got = f"{len(told)} values" if isinstance(told, list) else type(told).__name__
        raise ValueError(f"{what} has {got}; expected 54 (18 joints) or 75 (25 joints): x, y and confidence of each")
    if not all(isinstance(value, int | float) and abs(value) <= LARGEST for value in told):
        raise ValueError(f"{what} has a value that is no number in pixels; expected x, y and confidence of each joint")
    joints = np.array(told, float).reshape(-1, 3)
    return joints if len(joints) == COUNT else joints[list(FROM_BODY_25)]


def read_people(path: Path) -> tuple[np.ndarray, tuple[int, int] | None]:
    """The people of a JSON file, as `people_of` gives them, and the picture's (width, height) if the file says it.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is not JSON, or not in OpenPose's layout.
    """
    document = read_json(path)
    try:
        people = people_of(document)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    size = document.get("canvas_width"), document.get("canvas_height")
    known = all(isinstance(side, int) and 1 <= side <= LARGEST for side in size)
    return people, (int(size[0] or 0), int(size[1] or 0)) if known else None


def write_people(path: Path, people: np.ndarray, size: tuple[int, int]) -> Path:
    """Write people as JSON; `read_people` reads them back to a thousandth of a pixel.

    Raises:
        OSError: when the file cannot be written.
    """
    path.write_text(json.dumps(people_to_json(people, size)) + "\n", "utf-8")
    return path
