"""Strokes: thinning keeps topology, pens have their width, specks and hysteresis by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.conditions.raster import morphology
from zeroconv.conditions.raster.morphology import apply_hysteresis, dilate, prune, remove_specks, thin


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


def thinned_by_the_book(strokes: np.ndarray) -> np.ndarray:
    """Zhang and Suen's two half-steps, pixel by pixel, but that the top left of a square of four is kept."""
    lines = np.pad(strokes, 1)
    while True:
        before = lines.copy()
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            seen = lines.copy()
            for y, x in np.argwhere(seen).tolist():
                ring = [seen[y + dy, x + dx] for dy, dx in RING]
                turns = sum(not ring[i - 1] and ring[i] for i in range(8))
                border = not all(ring[i] for i in first) and not all(ring[i] for i in second)
                if 2 <= sum(ring) <= 6 and turns == 1 and border and ring != SQUARE:
                    lines[y, x] = False
        if np.array_equal(lines, before):
            return lines[1:-1, 1:-1]


RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # from the north, clockwise
SQUARE = [False, False, True, True, True, False, False, False]


def test_thinning_is_the_published_one() -> None:
    rng = np.random.default_rng(0)
    for density in (0.05, 0.3, 0.6, 0.9, 0.99):
        for _ in range(6):
            strokes = rng.random(rng.integers(1, 40, 2)) < density
            assert np.array_equal(thin(strokes), thinned_by_the_book(strokes))
    rows, columns = np.mgrid[:60, :60]
    disc = (rows - 30) ** 2 + (columns - 28) ** 2 < 27**2
    assert np.array_equal(thin(disc), thinned_by_the_book(disc))


@pytest.mark.parametrize("side", [150, 600, 1200])
def test_broad_areas_take_no_longer_than_their_pixels(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were every layer to look at everything, each pixel of a square would be looked at as often as its side has pixels.

    Here it is at most once for each hundredth that is gone at a time, and then a few times for its own layer.
    """
    looked_at: list[int] = []
    look_up, unique = morphology.look_up, np.unique

    def counted_look_up(table: np.ndarray, lines: np.ndarray) -> np.ndarray:
        looked_at.append(lines.size)
        return look_up(table, lines)

    def counted_unique(candidates: np.ndarray) -> np.ndarray:
        looked_at.append(candidates.size)
        return unique(candidates)

    monkeypatch.setattr(morphology, "look_up", counted_look_up)
    monkeypatch.setattr(np, "unique", counted_unique)
    assert thin(np.ones((side, side), bool)).any()
    assert side**2 < sum(looked_at) < (1 / morphology.FEW + 20) * side**2


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
    assert dilate(line, width)[:, 40].sum() == dilate(line.T, width)[40].sum() == width
    dot = np.zeros((80, 80), bool)
    dot[40, 40] = True
    drawn = dilate(dot, width)
    assert np.array_equal(drawn, drawn.T)
    assert abs(drawn.sum() - np.pi / 4 * width**2) < 2 + 0.1 * width**2


def test_specks_are_told_from_strokes_by_their_reach() -> None:
    strokes = np.zeros((20, 20), bool)
    strokes[2:4, 2:4] = True
    strokes[np.arange(6) + 8, np.arange(6) + 8] = True  # six pixels, diagonal
    kept = remove_specks(strokes, 6)
    assert kept.sum() == 6 and kept[8, 8] and not kept[2, 2]
    assert not remove_specks(strokes, 7).any()
    assert np.array_equal(remove_specks(strokes, 0), strokes)


def test_hysteresis_by_hand() -> None:
    values = np.array([[0.6, 0.3, 0.0, 0.3, 0.3, 0.1]])
    assert apply_hysteresis(values, 0.2, 0.5).tolist() == [[True, True, False, False, False, False]]
    assert apply_hysteresis(values, 0.2, 0.3).tolist() == [[True, True, False, True, True, False]]
    assert not apply_hysteresis(values, 0.2, 0.7).any()


def test_whiskers_go_and_ends_and_rings_stay() -> None:
    lines = np.zeros((40, 60), bool)
    lines[20, 5:55] = True
    trunk = lines.copy()
    lines[17:20, 15], lines[21:32, 40] = True, True  # a whisker of three pixels, and a branch of eleven
    branch = trunk.copy()
    branch[21:32, 40] = True
    assert np.array_equal(prune(lines, 4), branch)
    assert np.array_equal(prune(lines, 2), lines)
    assert np.array_equal(prune(branch, 12), trunk)
    assert not prune(trunk, 25).any() and np.array_equal(prune(trunk, 24), trunk)
    ring = np.zeros((20, 20), bool)
    ring[5, 5:15] = ring[14, 5:15] = ring[5:15, 5] = ring[5:15, 14] = True
    assert np.array_equal(prune(ring, 9), ring)
