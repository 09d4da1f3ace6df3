"""Poses as JSON: there and back with hands and faces, OpenPose's larger body, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conditions.scenes import COUNT, picture
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.openpose.json_format import people_from_json, people_to_json, read_people, write_people
from zeroconv.conditions.openpose.keypoints import People


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 4))
def test_people_survive(seed: int, count: int) -> None:
    people = np.random.default_rng(seed).uniform(0, 500, (count, 18, 3)).astype(np.float32)
    document = json.loads(json.dumps(people_to_json(people, (512, 400))))
    assert (document["canvas_width"], document["canvas_height"], len(document["people"])) == (512, 400, count)
    found = people_from_json(document)
    assert found.body.shape == (count, 18, 3) and found.hands is None and found.face is None
    assert np.abs(found.body - people).max(initial=0) < 1e-3


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4), parts=st.sampled_from(["hands", "face", "both"]))
def test_hands_and_faces_survive(seed: int, count: int, parts: str) -> None:
    draw = np.random.default_rng(seed).uniform
    hands = draw(0, 500, (count, 2, 21, 3)) if parts != "face" else None
    face = draw(0, 500, (count, 70, 3)) if parts != "hands" else None
    people = People(draw(0, 500, (count, 18, 3)), hands, face)
    document = json.loads(json.dumps(people_to_json(people, (512, 400))))
    names = {"pose_keypoints_2d"} | ({"face_keypoints_2d"} if parts != "hands" else set[str]())
    names |= {"hand_left_keypoints_2d", "hand_right_keypoints_2d"} if parts != "face" else set()
    assert all(person.keys() == names for person in document["people"])
    found = people_from_json(document)
    for given_part, found_part in ((people.body, found.body), (hands, found.hands), (face, found.face)):
        assert (given_part is None) == (found_part is None)
        if given_part is not None and found_part is not None:
            assert found_part.shape == given_part.shape and np.abs(found_part - given_part).max() < 1e-3
    left = document["people"][0].get("hand_left_keypoints_2d")
    assert hands is None or np.abs(np.reshape(left, (21, 3)) - hands[0, 0]).max() < 1e-3


def test_what_one_person_lacks_is_hidden() -> None:
    """Other programs leave a hand out, or give null or nothing; and a face of 68 points has no pupils."""
    body: dict[str, Any] = {"pose_keypoints_2d": [1.0] * 54}
    first = body | {"hand_left_keypoints_2d": None, "hand_right_keypoints_2d": [2.0] * 63, "face_keypoints_2d": []}
    people = people_from_json({"people": [first, body, body | {"face_keypoints_2d": [3.0] * 204}]})
    assert people.hands is not None and people.face is not None
    assert people.hands[0, 1].all() and not people.hands[0, 0].any() and not people.hands[1:].any()
    assert not people.face[:2].any() and people.face[2, :68].all() and not people.face[2, 68:].any()


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
    (person,) = people_from_json({"people": [{"pose_keypoints_2d": values}]}).body
    assert person[:8].ravel().tolist() == values[:24]
    assert person[8:].ravel().tolist() == values[27:57]


def test_people_without_keypoints_are_left_out() -> None:
    assert people_from_json({"people": [{"pose_keypoints_2d": None}, {}, {"pose_keypoints_2d": []}]}).body.shape == (0, 18, 3)


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
        (
            {"people": [{"pose_keypoints_2d": [1.0] * 54, "hand_left_keypoints_2d": [1.0] * 60}]},
            '"hand_left_keypoints_2d" of person 0 has 60 values; expected 63',
        ),
        (
            {"people": [{"pose_keypoints_2d": [1.0] * 54, "face_keypoints_2d": [1.0] * 5}]},
            r"has 5 values; expected 210 \(70 points\) or 204 \(68 points\)",
        ),
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
