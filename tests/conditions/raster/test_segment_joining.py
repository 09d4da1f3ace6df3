"""Pieces of lines joined: gaps, neighbours, any order, and the same as one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conditions.scenes import COUNT, rendering
from zeroconv.conditions.lines import detect_segments
from zeroconv.conditions.raster import segment_joining as joining
from zeroconv.conditions.raster.segment_joining import join


def one_by_one(segments: np.ndarray, gap: float, beside: float, shortest: float) -> np.ndarray:
    """An independent and slow restatement: from the longest segment on, with eigenvectors of second moments."""
    ends = segments.astype(np.float64).reshape(-1, 2, 2)
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    free, found = [True] * len(ends), []
    for seed in np.argsort(-lengths, kind="stable"):
        if not free[seed] or lengths[seed] < shortest / 3:
            continue
        axis = (ends[seed, 1] - ends[seed, 0]) / lengths[seed]
        along, off = (ends - ends[seed, 0]) @ axis, (ends - ends[seed, 0]) @ (-axis[1], axis[0])
        on = (np.abs(off) <= beside).all(axis=1) & (np.abs(np.ptp(off, axis=1)) <= np.sin(np.radians(4)) * lengths + 1)
        members = {int(seed)}
        while True:  # what reaches the group, again and again
            low, high = (pick(along[list(members)]) for pick in (np.min, np.max))
            reached = on & free & (along.min(axis=1) <= high + gap) & (along.max(axis=1) >= low - gap)
            if members == (members := members | set(np.flatnonzero(reached).tolist())):
                break
        points = np.concatenate([np.linspace(ends[m, 0], ends[m, 1], 999) for m in members])
        weights = np.repeat(lengths[list(members)], 999)
        centre = np.average(points, axis=0, weights=weights)
        direction = np.linalg.eigh(np.cov(points.T, aweights=weights))[1][:, 1]
        reach = (ends[list(members)] - centre) @ direction
        if np.ptp(reach) >= shortest:
            found.append([*(centre + reach.min() * direction), *(centre + reach.max() * direction)])
            for member in members:
                free[member] = False
    return np.array(found).reshape(-1, 4)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two lists have the same lines, in any order and from either end, to a twentieth of a pixel."""
    turned = np.stack([other, other[:, [2, 3, 0, 1]]])
    apart = np.abs(one[:, None, None] - turned[None]).max(axis=3).min(axis=1, initial=1e9)  # (M, N)
    return len(one) == len(other) and bool((apart < 0.05).any(axis=0).all() and (apart < 0.05).any(axis=1).all())


@pytest.mark.parametrize(("gap", "expected"), [(4, 5), (6, 1)])
def test_pieces_are_joined_over_gaps_that_are_short_enough(gap: float, expected: int) -> None:
    dashes = np.array([[x, 30, x + 15, 30] for x in range(0, 100, 20)], np.float32)
    joined = join(dashes, gap, 2, 10)
    assert len(joined) == expected
    assert sorted(joined[0, ::2]) == ([0, 95] if expected == 1 else sorted(joined[0, ::2]))
    assert len(join(dashes, gap, 2, 20)) == (expected == 1)  # alone they are too short


def test_pieces_beside_or_across_are_not_joined() -> None:
    base = [0, 30, 60, 30]
    for other, count in (([0, 32, 60, 32], 1), ([0, 34, 60, 34], 2), ([50, 29, 61, 33], 2), ([30, 0, 30, 60], 2)):
        joined = join(np.array([base, other], np.float32), 3, 2.5, 5)
        assert len(joined) == count, other
    (both,) = join(np.array([base, [0, 32, 60, 32]], np.float32), 3, 2.5, 5)
    assert both[1::2].tolist() == [31, 31]  # the line between both sides of a stroke


def test_joining_does_not_ask_for_an_order() -> None:
    segments = detect_segments(rendering(1))
    shuffled = segments[np.random.default_rng(0).permutation(len(segments))]
    assert np.array_equal(join(segments, 2, 3, 6), join(shuffled, 2, 3, 6))


def scattered(seed: int, count: int = 60) -> np.ndarray:
    """Segments of few directions on few lines: many of them can be joined, and many in more than one way."""
    generator = np.random.default_rng(seed)
    angle = generator.integers(0, 4, count) * 0.8 + generator.normal(0, 0.1, count)
    middle = generator.integers(1, 5, (count, 2)) * 25 + generator.normal(0, 4, (count, 2))
    half = np.stack([np.cos(angle), np.sin(angle)], axis=1) * generator.uniform(1, 14, (count, 1))
    return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32)


@given(seed=st.integers(0, 2**32), gap=st.floats(0, 8), beside=st.floats(1, 4), shortest=st.floats(0, 40))
def test_all_at_one_time_is_one_by_one(seed: int, gap: float, beside: float, shortest: float) -> None:
    segments = scattered(seed)
    assert same(join(segments, gap, beside, shortest), one_by_one(segments, gap, beside, shortest))


@pytest.mark.parametrize("index", range(COUNT))
def test_lines_of_scenes_are_those_of_one_by_one(index: int) -> None:
    segments = detect_segments(rendering(index))
    found = join(segments, 2, 3, 8)
    assert len(found) > 10 and same(found, one_by_one(segments, 2, 3, 8))


@given(seed=st.integers(0, 2**32))
def test_how_many_are_compared_together_does_not_count(seed: int) -> None:
    segments = scattered(seed, 100)
    whole = join(segments, 3, 3, 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "AT_ONCE", 50)
        assert same(join(segments, 3, 3, 10), whole)


def test_nothing_joins_to_nothing() -> None:
    nothing = np.zeros((0, 4), np.float32)
    for shortest in (0, 8):
        assert join(nothing, 2, 3, shortest).shape == (0, 4)
    point = np.full((3, 4), 7, np.float32)  # segments without length are lines only where any length is enough
    assert len(join(point, 2, 3, 1)) == 0 and join(point, 2, 3, 0).tolist() == [[7, 7, 7, 7]]
