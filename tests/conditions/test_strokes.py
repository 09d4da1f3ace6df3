"""Strokes: thinning keeps topology, pens have their width, specks and hysteresis by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.conditions.strokes import pruned, thin, thresholded, with_pen, without_specks


def pieces(strokes: np.ndarray) -> int:
    return cv2.connectedComponents(strokes.astype(np.uint8), connectivity=8)[0] - 1


def holes(strokes: np.ndarray) -> int:
    return cv2.connectedComponents((~np.pad(strokes, 1)).astype(np.uint8), connectivity=4)[0] - 2


@given(seed=st.integers(0, 2**32), density=st.floats(0.1, 0.95))
def test_thinning_keeps_every_piece_and_every_hole(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(10):
        strokes = rng.random(rng.integers(1, 16, 2)) < density
        lines = thin(strokes)
        assert not (lines & ~strokes).any()
        assert (pieces(lines), holes(lines)) == (pieces(strokes), holes(strokes))
        assert np.array_equal(thin(lines), lines)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 9])
def test_a_thick_bar_becomes_its_centre_line(width: int) -> None:
    strokes = np.zeros((30, 60), bool)
    strokes[10 : 10 + width, 5:55] = True
    rows, columns = np.nonzero(thin(strokes))
    inner = rows[(columns >= 5 + width) & (columns < 55 - width)]
    assert len(inner) == 50 - 2 * width and len(set(inner)) == 1  # one pixel in each column, in one row
    assert abs(inner[0] - (10 + (width - 1) / 2)) <= 0.5


@pytest.mark.parametrize("width", range(1, 25))
def test_pens_have_their_width_and_are_round(width: int) -> None:
    line = np.zeros((80, 80), bool)
    line[40, 30:50] = True
    assert with_pen(line, width)[:, 40].sum() == with_pen(line.T, width)[40].sum() == width
    dot = np.zeros((80, 80), bool)
    dot[40, 40] = True
    drawn = with_pen(dot, width)
    assert np.array_equal(drawn, drawn.T)
    assert abs(drawn.sum() - np.pi / 4 * width**2) < 2 + 0.1 * width**2


def test_specks_are_told_from_strokes_by_their_reach() -> None:
    strokes = np.zeros((20, 20), bool)
    strokes[2:4, 2:4] = True
    strokes[np.arange(6) + 8, np.arange(6) + 8] = True  # six pixels, diagonal
    kept = without_specks(strokes, 6)
    assert kept.sum() == 6 and kept[8, 8] and not kept[2, 2]
    assert not without_specks(strokes, 7).any()
    assert np.array_equal(without_specks(strokes, 0), strokes)


def test_hysteresis_by_hand() -> None:
    values = np.array([[0.6, 0.3, 0.0, 0.3, 0.3, 0.1]])
    assert thresholded(values, 0.2, 0.5).tolist() == [[True, True, False, False, False, False]]
    assert thresholded(values, 0.2, 0.3).tolist() == [[True, True, False, True, True, False]]
    assert not thresholded(values, 0.2, 0.7).any()


def test_whiskers_go_and_ends_and_rings_stay() -> None:
    lines = np.zeros((40, 60), bool)
    lines[20, 5:55] = True
    trunk = lines.copy()
    lines[17:20, 15], lines[21:32, 40] = True, True  # a whisker of three pixels, and a branch of eleven
    branch = trunk.copy()
    branch[21:32, 40] = True
    assert np.array_equal(pruned(lines, 4), branch)
    assert np.array_equal(pruned(lines, 2), lines)
    assert np.array_equal(pruned(branch, 12), trunk)
    assert not pruned(trunk, 25).any() and np.array_equal(pruned(trunk, 24), trunk)
    ring = np.zeros((20, 20), bool)
    ring[5, 5:15] = ring[14, 5:15] = ring[5:15, 5] = ring[5:15, 14] = True
    assert np.array_equal(pruned(ring, 9), ring)
