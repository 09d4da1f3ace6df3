"""Measures by known answers: every number here was worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zeroconv.conditions.condition import check_sizes
from zeroconv.conditions.openpose.drawing import JOINTS
from zeroconv.metrics.edges import edge_scores
from zeroconv.metrics.geometry import align, angle_scores, angles_between, depth_scores
from zeroconv.metrics.keypoints import COCO_SPREADS, OPENPOSE_SPREADS, joints_met, oks
from zeroconv.metrics.segmentation import mean_overlap

seeds = st.integers(0, 2**32 - 1)


def test_sizes() -> None:
    check_sizes(Image.new("RGB", (3, 4)), Image.new("L", (3, 4)))
    with pytest.raises(ValueError, match=r"the picture is \(3, 4\), its map \(4, 3\); expected the same size"):
        check_sizes(Image.new("RGB", (3, 4)), Image.new("RGB", (4, 3)))


def test_joints_within_the_distance_are_met() -> None:
    wanted = np.zeros((4, 2))
    found = np.array([[0, 0], [3, 4], [0, 5.01], [100, 0]])
    seen = np.array([1, 1, 1, 0])
    assert joints_met(found, wanted, seen, 5) == pytest.approx(2 / 3)
    assert joints_met(found, wanted, seen, 0.05, length=100) == pytest.approx(2 / 3)
    assert joints_met(found, wanted, np.ones(4), 4.9) == 0.25
    assert joints_met(found, wanted, np.zeros(4), 5) == 1


def test_oks_by_hand() -> None:
    """A joint that is off by its own spread times the person's size: exp(-1/8), as k is two spreads."""
    wanted, area = np.full((18, 2), 50.0), 10_000.0
    assert oks(wanted, wanted, np.ones(18), area) == 1
    found = wanted + np.stack([OPENPOSE_SPREADS * 100, np.zeros(18)], axis=1)
    assert oks(found, wanted, np.ones(18), area) == pytest.approx(np.exp(-1 / 8))
    one = np.zeros(18)
    one[0] = 1
    assert oks(wanted + np.array([5.2, 0]), wanted, one, area) == pytest.approx(np.exp(-(5.2**2) / (2 * area * 0.052**2)))
    assert oks(found, wanted, np.zeros(18), area) == 1
    assert oks(np.full((17, 2), 1e4), np.zeros((17, 2)), np.ones(17), 1.0, COCO_SPREADS) == 0
    with pytest.raises(ValueError, match="got 17 joints"):
        oks(wanted[:17], wanted[:17], np.ones(17), area)
    with pytest.raises(ValueError, match="an area above 0"):
        oks(wanted, wanted, np.ones(18), 0)


def test_openposes_spreads_are_cocos() -> None:
    coco = {"nose": 0, "eye": 1, "ear": 3, "shoulder": 5, "elbow": 7, "wrist": 9, "hip": 11, "knee": 13, "ankle": 15}
    assert len(COCO_SPREADS) == 17 and len(OPENPOSE_SPREADS) == len(JOINTS)
    for name, spread in zip(JOINTS, OPENPOSE_SPREADS, strict=True):
        kind = name.split()[-1].replace("neck", "shoulder")
        assert spread == COCO_SPREADS[coco[kind]]


def test_overlap_by_hand() -> None:
    wanted = np.array([[0, 0, 1, 1], [0, 0, 1, 255]])
    found = np.array([[0, 0, 0, 1], [0, 0, 1, 1]])
    assert mean_overlap(found, wanted) == pytest.approx((4 / 5 + 2 / 3) / 2)  # what is ignored counts on neither side
    assert mean_overlap(found, wanted, ignore=-1) == pytest.approx((4 / 5 + 2 / 4 + 0) / 3)
    assert mean_overlap(found, wanted, least=0.4) == pytest.approx(4 / 5)
    assert mean_overlap(found, np.full((2, 4), 255)) == 1


@given(seed=seeds)
def test_overlap_laws(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 4, (2, 6, 6))
    assert mean_overlap(a, a) == 1
    assert 0 <= mean_overlap(a, b) <= 1
    assert mean_overlap(a + 4, a) == 0


@given(seed=seeds, scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_alignment_undoes_scale_and_shift(seed: int, scale: float, shift: float) -> None:
    wanted = np.random.default_rng(seed).random((7, 5)) + 0.1
    assert np.allclose(align((wanted - shift) / scale, wanted), wanted)
    scores = depth_scores((wanted - shift) / scale, wanted)
    assert scores.rmse < 1e-6 and scores.relative < 1e-6 and scores.delta1 == 1


@given(seed=seeds)
def test_alignment_is_the_least_squares_one(seed: int) -> None:
    found, wanted = np.random.default_rng(seed).random((2, 6, 6))
    valid = np.random.default_rng(seed).random((6, 6)) > 0.3
    table = np.stack([found[valid], np.ones(int(valid.sum()))], axis=1)
    scale, shift = np.linalg.lstsq(table, wanted[valid])[0]
    assert np.allclose(align(found, wanted, valid), scale * found + shift)


def test_depth_by_hand() -> None:
    """Nothing to align with: the mean, 3, is found everywhere."""
    wanted = np.array([[2.0, 2.5, 3.5, 4.0]])
    scores = depth_scores(np.ones((1, 4)), wanted)
    assert scores.rmse == pytest.approx(np.sqrt((1 + 0.25 + 0.25 + 1) / 4))
    assert scores.relative == pytest.approx((1 / 2 + 0.5 / 2.5 + 0.5 / 3.5 + 1 / 4) / 4)
    assert scores.delta1 == 0.5  # 3 / 2 and 4 / 3 are too much
    sky = depth_scores(np.ones((1, 2)), np.array([[0.0, 2.0]]))
    assert (sky.rmse, sky.relative, sky.delta1) == (1.0, 0.5, 0.0)
    nothing = depth_scores(np.ones((2, 2)), np.ones((2, 2)), np.zeros((2, 2), bool))
    assert (nothing.rmse, nothing.delta1) == (0, 1)


def test_angles_by_hand() -> None:
    front = np.array([0, 0, -1.0])
    turned = [[0, np.sin(np.radians(a)), -np.cos(np.radians(a))] for a in (0, 1e-4, 11, 22, 29, 90, 180)]
    assert angles_between(np.array(turned), front) == pytest.approx([0, 1e-4, 11, 22, 29, 90, 180], rel=1e-6)
    assert np.isnan(angles_between(np.zeros(3), front))
    wanted = np.broadcast_to(front, (1, 7, 3))
    scores = angle_scores(np.array([turned]), wanted)
    assert scores.mean == pytest.approx(332.0001 / 7) and scores.median == pytest.approx(22)
    assert (scores.within_11, scores.within_22, scores.within_30) == pytest.approx((3 / 7, 4 / 7, 5 / 7))
    assert angle_scores(np.zeros((2, 2, 3)), np.zeros((2, 2, 3))).within_11 == 1


def test_edges_by_hand() -> None:
    found, wanted = np.zeros((9, 9)), np.zeros((9, 9))
    found[2], wanted[3] = 1, 1
    found[7, :3] = 1
    scores = edge_scores(found, wanted)
    assert (scores.precision, scores.recall) == (9 / 12, 1)
    assert scores.f1 == pytest.approx(2 * 0.75 / 1.75)
    none = edge_scores(found, wanted, tolerance=0)
    assert (none.precision, none.recall, none.f1) == (0, 0, 0)
    assert edge_scores(np.zeros((3, 3)), np.zeros((3, 3))).f1 == 1
