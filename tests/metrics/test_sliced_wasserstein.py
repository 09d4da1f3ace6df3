"""Sliced Wasserstein distance: on a line against an integral, shifts in closed form, its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.errors import InputError
from zeroconv.metrics.sliced_wasserstein import directions, sliced_wasserstein, wasserstein_on_lines

pytestmark = pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")
seeds = st.integers(0, 2**32 - 1)


def test_on_a_line_by_hand() -> None:
    a, b = np.array([[0.0], [3]]), np.array([[0.0], [1], [5]])
    # quantiles: 0 and 3 halfway, 0, 1 and 5 by thirds: |0-0| 2/6, |0-1| 1/6, |3-1| 1/6, |3-5| 2/6
    assert wasserstein_on_lines(a, b, 1) == pytest.approx([1 / 6 + 2 / 6 + 4 / 6])
    assert wasserstein_on_lines(a, b, 2) == pytest.approx([1 / 6 + 4 / 6 + 8 / 6])


@given(seed=seeds, n=st.integers(1, 20), m=st.integers(1, 20), order=st.sampled_from([1.0, 2.0, 3.0]))
def test_unequal_counts_equal_the_sets_repeated_to_one_count(seed: int, n: int, m: int, order: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    same = np.abs(np.sort(np.repeat(a, m, 0), 0) - np.sort(np.repeat(b, n, 0), 0)) ** order
    assert wasserstein_on_lines(a, b, order) == pytest.approx(same.mean(0))


@given(seed=seeds)
def test_laws(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, step = rng.normal(size=(12, 5)), rng.normal(size=(17, 5)), rng.normal(size=5)
    found = sliced_wasserstein(a, b, projections=50)
    assert sliced_wasserstein(a, a, projections=50) == 0
    assert sliced_wasserstein(b, a, projections=50) == pytest.approx(found)
    assert sliced_wasserstein(a[::-1], np.repeat(b, 3, 0), projections=50) == pytest.approx(found)
    assert sliced_wasserstein(a + step, b + step, projections=50) == pytest.approx(found)
    assert sliced_wasserstein(3 * a, 3 * b, projections=50) == pytest.approx(3 * found)
    moved = sliced_wasserstein(a, a + step, projections=50)  # exactly the shift along each direction
    assert moved**2 == pytest.approx(((directions(5, 50, 0) @ step) ** 2).mean())


def test_shifted_gaussians_in_closed_form() -> None:
    """`SW² = |step|² / D + (a - b)²` of isotropic Gaussians with deviations a and b."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (2000, 8)), rng.normal(0, 2, (1500, 8)) + 1
    assert sliced_wasserstein(a, b, projections=400) ** 2 == pytest.approx(1 + 1, rel=0.08)


def test_directions_are_keyed_and_of_length_1() -> None:
    assert np.array_equal(directions(4, 6, 1), directions(4, 6, 1))
    assert not np.array_equal(directions(4, 6, 1), directions(4, 6, 2))
    assert np.linalg.norm(directions(4, 6, 1), axis=1) == pytest.approx(np.ones(6))
    assert np.abs(directions(3, 20_000, 0).mean(0)).max() < 0.02


def test_bad_input() -> None:
    x = np.ones((3, 2))
    with pytest.raises(InputError, match="0 projections"):
        sliced_wasserstein(x, x, projections=0)
    with pytest.raises(InputError, match="order"):
        sliced_wasserstein(x, x, order=0.5)
