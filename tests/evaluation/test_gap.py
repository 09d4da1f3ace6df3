"""The share of the gap: one formula, for a probe's means and a report's intervals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.evaluation import bootstrap_share, share_of_gap
from zeroconv.training import ProbeEvent


@pytest.mark.parametrize(("controlled", "share"), [(0.2, 0.0), (0.5, 0.5), (0.8, 1.0), (0.05, -0.25), (0.95, 1.25)])
def test_no_control_closes_nothing_and_the_ceiling_all(controlled: float, share: float) -> None:
    assert share_of_gap(controlled, 0.2, 0.8) == pytest.approx(share)
    assert ProbeEvent(1, controlled, 0.2, 0.8, "edge F1", (controlled, controlled), controlled).share == pytest.approx(share)


@pytest.mark.parametrize("ceiling", [0.5, 0.4, 0.5 + 1e-7])
def test_without_a_gap_there_is_no_share(ceiling: float) -> None:
    assert share_of_gap(0.5, 0.5, ceiling) is None and bootstrap_share([0.5], [0.5], [ceiling]) is None
    assert ProbeEvent(1, 0.5, 0.5, ceiling, "edge F1", (0.5, 0.5), 0.5).share == 0


def test_the_share_of_a_report_is_that_of_the_means() -> None:
    found = bootstrap_share([0.5, 0.7], [0.2, 0.4], [0.8, 1.0])
    assert found is not None
    assert found.value == found.low == found.high == pytest.approx(0.5)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=9))
def test_probe_and_report_agree(rows: list[tuple[float, float, float]]) -> None:
    columns = [[row[i] for row in rows] for i in range(3)]
    means = [sum(column) / len(column) for column in columns]
    found, share = bootstrap_share(columns[0], columns[1], columns[2]), share_of_gap(*means)
    assert (found is None) == (share is None) or abs(means[2] - means[1]) < 2e-6
    if found is not None and share is not None and means[2] - means[1] > 1e-3:
        assert found.value == pytest.approx(share, abs=1e-6)
