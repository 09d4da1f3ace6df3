"""F-scores of edges and lines by hand, and their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.metrics.edges import f_beta, f_score, line_f_score, matched_fraction, orientation_field

shares = st.floats(0, 1)


def test_edges_by_hand() -> None:
    found, wanted = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    found[2], wanted[3] = True, True
    found[7, :3] = True
    assert (matched_fraction(found, wanted, 1), matched_fraction(wanted, found, 1)) == (9 / 12, 1)
    assert f_score(found, wanted, 1) == pytest.approx(2 * 0.75 / 1.75)
    assert f_score(found, wanted, 1, beta=2) == pytest.approx(5 * 0.75 / (4 * 0.75 + 1))
    assert matched_fraction(found, wanted, 0) == f_score(found, wanted, 0) == 0
    nothing = np.zeros((3, 3), bool)
    assert f_score(nothing, nothing, 1) == line_f_score(nothing, nothing, 1) == 1
    assert f_score(found, np.zeros_like(found), 1) == line_f_score(found, np.zeros_like(found), 1) == 0


def test_grey_levels_are_weights() -> None:
    found, wanted = np.zeros((5, 5), np.uint8), np.zeros((5, 5), np.uint8)
    found[2, 1], found[2, 4], wanted[1, 0] = 200, 100, 50
    assert matched_fraction(found, wanted, 1) == 50 / 300
    assert matched_fraction(wanted, found, 1) == 1


@given(precision=shares, recall=shares)
def test_f_beta_lies_between_precision_and_recall(precision: float, recall: float) -> None:
    low, high = sorted((precision, recall))
    for beta in (0.5, 1.0, 2.0):
        assert low - 1e-12 <= f_beta(precision, recall, beta) <= high + 1e-12 or precision * recall == 0
    assert f_beta(precision, recall) == pytest.approx(f_beta(recall, precision))


@given(seed=st.integers(0, 2**32 - 1), tolerance=st.integers(0, 3))
def test_a_fraction_is_one_for_itself_and_grows_with_the_tolerance(seed: int, tolerance: int) -> None:
    edges, others = np.random.default_rng(seed).random((2, 12, 15)) > 0.8
    assert matched_fraction(edges, edges, tolerance) == float(edges.any())
    assert matched_fraction(edges, others, tolerance) <= matched_fraction(edges, others, tolerance + 1)


def test_a_line_matches_lines_of_its_own_direction_alone() -> None:
    rows, columns = np.zeros((2, 40, 40), bool)
    rows[::4], columns[:, ::4] = True, True
    assert f_score(rows, columns, 2) > 0.95  # near nearly everywhere
    assert line_f_score(rows, columns, 2) < 0.2 and line_f_score(rows, np.roll(rows, 1, axis=0), 2) > 0.95
    one = np.zeros((40, 40), bool)
    one[20] = True
    assert np.abs(orientation_field(one)[20, 20]) == pytest.approx(1, abs=1e-3)
