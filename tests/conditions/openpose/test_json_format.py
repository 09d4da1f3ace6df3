"""Poses as JSON: there and back with hands and faces, OpenPose's larger body, and what is refused."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conditions.scenes import COUNT, picture
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.openpose.json_format import (
    draw_document,
    people_from_json,
    people_to_json,
    read_people,
    write_people,
)
from zeroconv.conditions.openpose.keypoints import People
from zeroconv.errors import InputError


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
        ([], "a list of 0 frames"),
        (7, "this JSON is a int"),
        ({"people": [3]}, "person 0 is a int"),
        ({"people": [{"pose_keypoints_2d": [True] * 54}]}, "no number in pixels"),
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
def test_other_layouts_are_refused_in_one_line(document: Any, word: str, tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=word) as caught:
        read_people(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_list_of_one_frame_shares_of_the_canvas_and_null_are_understood(tmp_path: Path) -> None:
    keypoints = next(p.keypoints for p in map(picture, range(COUNT)) if p.keypoints is not None)
    whole = people_to_json(keypoints, (128, 128))
    wanted = draw_pose(keypoints, (128, 128))
    values = whole["people"][0]["pose_keypoints_2d"]
    shares = [value / 128 if i % 3 < 2 else value for i, value in enumerate(values)]
    hidden = [None if values[i // 3 * 3 + 2] == 0 else value for i, value in enumerate(values)]
    documents: list[Any] = [whole, [whole]]
    documents += [{**whole, "people": [{"pose_keypoints_2d": written}]} for written in (shares, hidden)]
    for document in documents:
        (tmp_path / "pose.json").write_text(json.dumps(document))
        drawn = draw_document(tmp_path / "pose.json")
        assert np.abs(np.asarray(drawn, int) - np.asarray(wanted)).mean() < 0.1
    twice = draw_document(tmp_path / "pose.json", (256, 256))
    assert twice.size == (256, 256)
    assert np.abs(np.asarray(twice, int) - np.asarray(draw_pose(keypoints * (2, 2, 1), (256, 256)))).mean() < 0.1


KEYS = ["people", "pose_keypoints_2d", "face_keypoints_2d", "canvas_width", "x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
NUMBERS = st.floats(width=32) | st.integers(-(2**70), 2**70) | st.none()
PEOPLE = st.fixed_dictionaries(
    {"people": st.lists(st.fixed_dictionaries({"pose_keypoints_2d": st.lists(NUMBERS, min_size=54, max_size=54)}), max_size=2)},
    optional={"canvas_width": NUMBERS, "canvas_height": NUMBERS},
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=JSON | PEOPLE, size=st.none() | st.tuples(st.integers(1, 64), st.integers(1, 64)))
def test_any_json_is_a_map_of_the_size_or_one_line(document: Any, size: tuple[int, int] | None, tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_text(json.dumps(document))
    try:
        canvas = read_people(path)[1]
        if size is None and canvas is not None and max(canvas) > 4096:
            return
        drawn = draw_document(path, size)
    except InputError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    else:
        assert drawn.size == (size or canvas) and drawn.mode == "RGB"


@given(st.binary(max_size=64))
def test_any_bytes_are_a_map_or_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pose.json"
        path.write_bytes(content)
        try:
            draw_document(path, (16, 16))
        except InputError as error:
            assert "\n" not in str(error)


def test_a_file_need_not_say_its_size(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_text('{"people": [], "canvas_width": 0, "canvas_height": 3}')
    assert read_people(path)[1] is None


def test_a_canvas_as_large_as_a_country_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pose.json").write_text('{"people": [], "canvas_width": 1000000, "canvas_height": 1048576}')
    with pytest.raises(InputError, match="has a canvas of 1000000x1048576; expected at most"):
        draw_document(tmp_path / "pose.json")
