"""Poses as JSON: there and back, OpenPose's larger body, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conditions.scenes import COUNT, picture
from zeroconv.conditions.pose import draw_pose
from zeroconv.conditions.pose_json import people_of, people_to_json, read_people, write_people


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 4))
def test_people_survive(seed: int, count: int) -> None:
    people = np.random.default_rng(seed).uniform(0, 500, (count, 18, 3)).astype(np.float32)
    document = json.loads(json.dumps(people_to_json(people, (512, 400))))
    assert (document["canvas_width"], document["canvas_height"], len(document["people"])) == (512, 400, count)
    assert people_of(document).shape == (count, 18, 3)
    assert np.abs(people_of(document) - people).max(initial=0) < 1e-3


def test_a_file_draws_the_same_map(tmp_path: Path) -> None:
    keypoints = next(p.keypoints for p in map(picture, range(COUNT)) if p.keypoints is not None)
    people, size = read_people(write_people(tmp_path / "pose.json", keypoints, (128, 128)))
    assert size == (128, 128)
    assert draw_pose(people, (128, 128)) == draw_pose(keypoints, (128, 128))


def test_several_people_are_all_drawn() -> None:
    one = next(p.keypoints for p in map(picture, range(COUNT)) if p.keypoints is not None)
    other = one + np.array([200, 0, 0], np.float32)
    both = np.asarray(draw_pose(np.stack([one, other]), (400, 128)))
    assert np.array_equal(both[:, :200], np.asarray(draw_pose(one, (400, 128)))[:, :200])
    assert np.array_equal(both[:, 200:], np.asarray(draw_pose(other, (400, 128)))[:, 200:])


def test_a_body_of_25_joints_becomes_18() -> None:
    """Its 9th joint is the middle of the hips, its last six are feet."""
    values = [float(i) for i in range(75)]
    (person,) = people_of({"people": [{"pose_keypoints_2d": values}]})
    assert person[:8].ravel().tolist() == values[:24]
    assert person[8:].ravel().tolist() == values[27:57]


def test_people_without_keypoints_are_left_out() -> None:
    assert people_of({"people": [{"pose_keypoints_2d": None}, {}, {"pose_keypoints_2d": []}]}).shape == (0, 18, 3)


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({}, 'no list "people"'),
        ({"people": {}}, 'no list "people"'),
        ({"people": [{"pose_keypoints_2d": [1.0] * 51}]}, "person 0 has 51 values; expected 54"),
        ({"people": [{"pose_keypoints_2d": "x" * 54}]}, "has str; expected 54"),
        ({"people": [{"pose_keypoints_2d": [None] * 54}]}, "no number in pixels"),
        ({"people": [{"pose_keypoints_2d": [float("nan")] * 54}]}, "no number in pixels"),
        ({"people": [{"pose_keypoints_2d": [1e30] * 54}]}, "no number in pixels"),
    ],
)
def test_other_layouts_are_refused_in_one_line(document: dict[str, Any], word: str, tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=word) as caught:
        read_people(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_file_need_not_say_its_size(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_text('{"people": [], "canvas_width": 0, "canvas_height": 3}')
    assert read_people(path)[1] is None
