"""Sudden convergence: found where it is, not found where it is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.training import SuddenConvergence, find_sudden_convergence

UNCONTROLLED, CEILING = 0.2, 0.8


def curve(*shares: float) -> list[tuple[int, float]]:
    """Probes every 100 steps that close these shares of the gap."""
    return [(100 * i, UNCONTROLLED + share * (CEILING - UNCONTROLLED)) for i, share in enumerate(shares)]


def found(*shares: float) -> tuple[int, int] | None:
    jump = find_sudden_convergence(curve(*shares), UNCONTROLLED, CEILING)
    return None if jump is None else (jump.begin, jump.end)


def test_a_jump_is_found_between_two_probes() -> None:
    jump = find_sudden_convergence(curve(0, 0.02, -0.03, 0.05, 0.7, 0.8), UNCONTROLLED, CEILING)
    assert isinstance(jump, SuddenConvergence)
    assert (jump.begin, jump.end) == (300, 400)
    assert (jump.before, jump.after) == pytest.approx((0.23, 0.62))
    where = "at about step 338 (300 to 400, between the probes of step 300 and 400)"
    assert jump.sentence("edge F1") == f"the control took hold {where}: edge F1 0.23 → 0.62"


def test_nothing_to_find() -> None:
    assert found() is None
    assert found(0.9) is None  # one probe is no jump
    assert found(0, 0.05, 0.02, 0.08) is None
    assert found(0, 0.1, 0.2, 0.29) is None
    assert find_sudden_convergence(curve(0, 0.9), 0.5, 0.5) is None  # no gap to close
    assert find_sudden_convergence(curve(0, 0.9), 0.5, 0.4) is None


@given(st.lists(st.floats(-0.3, 0.29), max_size=40))
def test_noise_below_the_mark_is_no_jump(shares: list[float]) -> None:
    assert found(*shares) is None


@given(seed=st.integers(0, 2**20), at=st.integers(1, 20), after=st.integers(0, 10))
def test_a_jump_in_noise_is_found_where_it_is(seed: int, at: int, after: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = rng.uniform(-0.09, 0.09, at), rng.uniform(0.4, 0.9, after + 1)
    assert found(*low, *high) == (100 * (at - 1), 100 * at)


def test_a_slow_rise_begins_at_the_last_probe_under_a_tenth() -> None:
    assert found(0, 0.05, 0.15, 0.2, 0.28, 0.5) == (100, 500)


def test_the_first_jump_stays_the_jump() -> None:
    assert found(0, 0.5, 0.0, 0.02, 0.9) == (0, 100)


def test_a_network_that_obeys_from_the_start_has_no_jump() -> None:
    assert found(0.5, 0.6) is None


@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_the_measures_units_do_not_matter(scale: float, shift: float) -> None:
    points = [(step, value * scale + shift) for step, value in curve(0, 0.05, 0.02, 0.6, 0.7)]
    jump = find_sudden_convergence(points, UNCONTROLLED * scale + shift, CEILING * scale + shift)
    assert jump is not None and (jump.begin, jump.end) == (200, 300)


@given(low=st.floats(-0.2, 0.29), high=st.floats(0.31, 1), spread=st.floats(0, 0.3))
def test_the_step_lies_on_the_line_and_inside_its_uncertainty(low: float, high: float, spread: float) -> None:
    ends = {100 * i: (share - spread, share + spread) for i, share in enumerate((0, low, high))}
    jump = find_sudden_convergence(curve(0, low, high), UNCONTROLLED, CEILING, ends)
    assert jump is not None
    assert jump.step == pytest.approx(100 + 100 * (0.3 - low) / (high - low), abs=0.6)
    assert 100 <= jump.earliest <= jump.step <= jump.latest <= 200
    if spread == 0:
        assert jump.earliest == jump.step == jump.latest


def test_a_probe_whose_interval_is_not_known_leaves_the_whole_bracket() -> None:
    points = curve(0, 0.1, 0.5)
    jump = find_sudden_convergence(points, UNCONTROLLED, CEILING, {0: (0, 0), 100: (0.05, 0.15)})
    assert jump is not None and (jump.earliest, jump.step, jump.latest) == (100, 150, 200)


def test_a_slow_rise_is_placed_where_it_passes_the_mark() -> None:
    jump = find_sudden_convergence(curve(0, 0.05, 0.15, 0.2, 0.28, 0.5), UNCONTROLLED, CEILING)
    assert jump is not None and (jump.begin, jump.end, jump.step) == (100, 500, 409)
