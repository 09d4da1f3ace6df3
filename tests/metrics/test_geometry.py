"""Depth and angles: alignment is least squares; scores by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.metrics.geometry import align, angle_scores, angles_between, depth_scores

seeds = st.integers(0, 2**32 - 1)


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
