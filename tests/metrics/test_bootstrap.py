"""Bootstrap intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.metrics.bootstrap import bootstrap_mean

Scores = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(Scores)
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    found = bootstrap_mean(values)
    assert found.value == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9


def test_the_interval_is_that_of_the_normal_law_for_many_values() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    found = bootstrap_mean(list(values))
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=2e-3)
    assert found.high == pytest.approx(values.mean() + half, abs=2e-3)


def test_the_same_values_give_the_same_interval() -> None:
    assert bootstrap_mean([0.1, 0.5, 0.3]) == bootstrap_mean([0.1, 0.5, 0.3])


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_mean([])
