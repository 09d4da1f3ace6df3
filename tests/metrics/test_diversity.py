"""Diversity by hand: pairs, prompts, and the effective number of different pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.errors import InputError
from zeroconv.metrics.diversity import pairwise_diversity, prompt_diversity, vendi_score

AXES = np.eye(4)


@given(seed=st.integers(0, 2**32 - 1))
def test_pairs_by_a_loop(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(6, 5))
    y = x / np.linalg.norm(x, axis=1, keepdims=True)
    expected = np.mean([1 - y[i] @ y[j] for i in range(6) for j in range(6) if i != j])
    assert pairwise_diversity(x) == pytest.approx(expected)
    assert pairwise_diversity(7 * x) == pytest.approx(expected)


def test_prompts_by_hand() -> None:
    features = np.array([AXES[0], AXES[1], AXES[2], AXES[2], AXES[3]])
    found = prompt_diversity(features, ["a", "a", "b", "b", "alone"])
    assert found.value == pytest.approx(0.5)  # 1 of a, 0 of b
    assert (found.low, found.high) == pytest.approx((0, 1))


def test_the_vendi_score_counts_different_pictures() -> None:
    assert vendi_score(AXES) == pytest.approx(4)
    assert vendi_score(np.repeat(AXES, 5, 0)) == pytest.approx(4)
    assert vendi_score(np.ones((9, 4))) == pytest.approx(1)
    x = np.random.default_rng(0).normal(size=(8, 3))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / 8)
    values = values[values > 1e-12]
    assert vendi_score(x) == pytest.approx(np.exp(-(values * np.log(values)).sum()))


def test_bad_input() -> None:
    with pytest.raises(InputError, match="every prompt has one picture"):
        prompt_diversity(AXES, "abcd")
    with pytest.raises(InputError, match="3 prompts for features of 4 pictures"):
        prompt_diversity(AXES, "abc")
    with pytest.raises(InputError, match="zero in row 1"):
        vendi_score([[1.0, 0], [0, 0]])
