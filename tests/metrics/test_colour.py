"""CIELAB by published values, and the laws of colour shares."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.metrics.colour import colour_shares, srgb_to_lab

seeds = st.integers(0, 2**32 - 1)


def test_lab_of_primaries_as_published() -> None:  # Bruce Lindbloom's calculator, D65
    rgb = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    lab = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]]
    assert np.allclose(srgb_to_lab(rgb), lab, atol=0.3)


def test_shares_by_hand() -> None:
    red, blue = [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]
    looks, index = np.array([red, [0.4, 0.05, 0.05], blue]), np.array([0, 0, 1])
    assert np.allclose(colour_shares(np.array([red, [0.41, 0.05, 0.05], blue, blue]), looks, index), [0.5, 0.5])
    assert not colour_shares(np.zeros((0, 3)), looks, index).any()


@given(seed=seeds)
def test_more_tolerance_gives_no_name_less(seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels, looks, index = random.random((20, 3)), random.random((6, 3)), np.array([0, 0, 1, 1, 2, 2])
    strict, loose = (colour_shares(pixels, looks, index, tolerance) for tolerance in (0.0, 10.0))
    assert (loose >= strict).all() and abs(strict.sum() - 1) < 1e-5 and colour_shares(pixels, looks, index, 1e4).min() == 1
