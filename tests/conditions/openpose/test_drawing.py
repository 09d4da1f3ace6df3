"""Hands and faces on pose maps: drawn as the annotators draw them, and no obstacle to reading the body back."""

import colorsys

import numpy as np
import pytest

from tests.conditions.scenes import COUNT, picture
from zeroconv.conditions.openpose.drawing import BONES, JOINTS, draw_pose
from zeroconv.conditions.openpose.keypoints import People
from zeroconv.conditions.openpose.reading import read_joints
from zeroconv.conditions.pose import POSE

SIZE = (512, 512)
STAR = np.array([[np.cos(a), np.sin(a)] for a in np.linspace(0.3, 2.9, 5)])  # the ways that five fingers point


def hand(wrist: tuple[float, float], length: float) -> np.ndarray:
    """An open hand, (21, 3): every joint of a finger a quarter of it further out."""
    reach = [np.array(wrist) + STAR[finger] * length * joint / 4 for finger in range(5) for joint in (1, 2, 3, 4)]
    return np.array([[*place, 1.0] for place in ([np.array(wrist), *reach])])


def people() -> People:
    """A person of the tiny world, four times as large, with hands at the wrists and a face around the nose."""
    body = next(one.keypoints for one in map(picture, range(COUNT)) if one.keypoints is not None) * (4.0, 4.0, 1.0)
    hands = np.stack([hand(tuple(body[JOINTS.index(f"{side} wrist"), :2]), 40) for side in ("left", "right")])
    turn = np.linspace(0, 2 * np.pi, 70)
    face = np.stack([body[0, 0] + 24 * np.cos(turn), body[0, 1] + 30 * np.sin(turn), np.ones(70)], axis=1)
    return People(body[None], hands[None], face[None])


def test_a_hand_has_twenty_bones_in_the_colours_of_the_hue_circle_and_blue_joints() -> None:
    open_hand = hand((250, 60), 220)
    drawn = np.asarray(draw_pose(People(np.zeros((1, 18, 3)), open_hand[None, None].repeat(2, 1)), SIZE))
    assert len(BONES) == 20 and sorted(b for _, b in BONES) == list(range(1, 21))
    for i, (a, b) in enumerate(BONES):
        x, y = ((open_hand[a, :2] + open_hand[b, :2]) / 2).round().astype(int)
        wanted = np.round(np.multiply(colorsys.hsv_to_rgb(i / 20, 1, 1), 255))
        assert np.abs(drawn[y - 1 : y + 2, x - 1 : x + 2] - wanted).sum(-1).min() <= 2
    for x, y, _ in open_hand.round().astype(int):
        assert drawn[y, x].tolist() == [0, 0, 255]


def test_a_face_is_small_white_dots_and_hidden_points_are_not_drawn() -> None:
    face = np.array([[20.0 + 40 * (i % 10), 30.0 + 50 * (i // 10), i % 2] for i in range(70)])
    drawn = np.asarray(draw_pose(People(np.zeros((1, 18, 3)), None, face[None]), SIZE))
    for x, y, visible in face.astype(int):
        assert drawn[y, x].tolist() == [255 * visible] * 3
        assert not drawn[y, x + 6].any()


def test_bodies_alone_are_drawn_as_before() -> None:
    whole = people()
    assert draw_pose(People(whole.body), SIZE) == draw_pose(whole.body, SIZE) == draw_pose(whole.body[0], SIZE)
    unknown = People(whole.body, np.zeros((1, 2, 21, 3)), np.zeros((1, 70, 3)))
    assert draw_pose(unknown, SIZE) == draw_pose(whole.body, SIZE)


@pytest.mark.parametrize("side", [128, 256, 512])
def test_the_body_is_read_back_beside_hands_and_a_face(side: int) -> None:
    """Within 5 % of the width, as its fidelity counts; and the checker sees nothing wrong."""
    whole, scale = people(), np.array([side / 512, side / 512, 1])
    assert whole.hands is not None and whole.face is not None
    drawn = draw_pose(People(whole.body * scale, whole.hands * scale, whole.face * scale), (side, side))
    found = read_joints(drawn)
    for index, (x, y, visible) in enumerate(whole.body[0]):
        if visible and index in found:
            assert np.hypot(found[index][0] - x / 512, found[index][1] - y / 512) < 0.05, JOINTS[index]
    seen = whole.body[0, :, 2] > 0
    # a face's dots may cover joints of the head, and a hand's those of its wrist
    covered = {0, 4, 7, 14, 15, 16, 17}
    assert set(np.nonzero(seen)[0].tolist()) - covered <= found.keys()
    assert POSE.check(drawn) == []


def test_a_knee_is_found_among_the_blue_joints_of_a_hand() -> None:
    """They have the colour of the left knee, which has none of their bones."""
    body = np.zeros((18, 3))
    leg = [JOINTS.index(name) for name in ("left hip", "left knee", "left ankle")]
    body[leg] = np.array([(150, 250, 1), (160, 350, 1), (150, 450, 1)])
    drawn = draw_pose(People(body[None], np.stack([hand((400, 60), 80), hand((300, 60), 80)])[None]), SIZE)
    x, y = read_joints(drawn)[JOINTS.index("left knee")]
    assert np.hypot(x * 512 - 160, y * 512 - 350) < 3


def test_points_below_the_threshold_are_hidden() -> None:
    sure = np.array([0.2, 0.5, 0.9])
    body, hands = np.ones((1, 18, 3)), np.ones((1, 2, 21, 3))
    body[0, :3, 2], hands[0, 1, :3, 2] = sure, sure
    kept = People(body, hands).drop_uncertain(0.5)
    assert kept.hands is not None and kept.face is None
    for part in (kept.body[0], kept.hands[0, 1]):
        assert part[:3].tolist() == [[0, 0, 0], [1, 1, 0.5], [1, 1, 0.9]] and part[3:].all()
