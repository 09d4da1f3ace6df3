"""What is said of votes whose answer is known: by hand, and from raters with a taste or without one."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.study.raters import ballots
from zeroconv.study import Vote
from zeroconv.study.discrimination import summarize_discrimination
from zeroconv.study.ranking import friedman, holm, kendalls_w, summarize_ranking, wilcoxon

METHODS = ("a", "b", "c")
FIVE = ("PITI", "sketch", "sketch-strong", "lite", "ControlNet")


def test_means_and_deviations_by_hand() -> None:
    # the first rater gives a 3 and 2, the second 3 and 3
    votes = ballots([[[3, 2, 1], [2, 3, 1]], [[3, 1, 2], [3, 2, 1]]], METHODS)
    result = summarize_ranking(votes, METHODS, "quality")
    assert result is not None and (result.raters, result.votes) == (2, 4)
    found = {one.method: (one.mean, one.deviation) for one in result.methods}
    assert [one.method for one in result.methods] == ["a", "b", "c"]
    assert found["a"] == (pytest.approx(2.75), pytest.approx(np.std([2.5, 3.0], ddof=1)))
    assert found["b"] == (pytest.approx(2.0), pytest.approx(np.std([2.5, 1.5], ddof=1)))
    assert found["c"] == (pytest.approx(1.25), pytest.approx(np.std([1.0, 1.5], ddof=1)))
    assert summarize_ranking(votes, METHODS, "fidelity") is None


def test_a_rater_who_left_early_counts_by_what_was_answered() -> None:
    votes = ballots([[[3, 2, 1], [3, 2, 1], [3, 2, 1]], [[1, 2, 3]]], METHODS)
    result = summarize_ranking(votes, METHODS, "quality")
    assert result is not None and result.votes == 4
    assert {one.method: one.mean for one in result.methods} == {"a": 2, "b": 2, "c": 2}  # raters weigh alike, not votes


def test_a_single_rater_has_means_and_no_significance() -> None:
    result = summarize_ranking(ballots([[[3, 1, 2]]], METHODS), METHODS, "quality")
    assert result is not None and [one.mean for one in result.methods] == [3, 2, 1]
    assert {one.deviation for one in result.methods} == {None}
    assert result.friedman is result.agreement is result.chance is None and result.comparisons == []


def test_kendalls_w() -> None:
    same = np.tile(np.array([1.0, 2, 3, 4]), (6, 1))
    assert kendalls_w(same) == 1
    assert kendalls_w(np.array([[1.0, 2, 3], [3, 2, 1]])) == 0
    # m = 3, n = 3: sums 4, 6, 8, S = 8, W = 12 · 8 / (9 · 24)
    assert kendalls_w(np.array([[1.0, 2, 3], [1, 2, 3], [2, 2, 2]])) == pytest.approx(8 * 12 / (9 * 24))
    every = np.array(list(permutations((1.0, 2, 3, 4))))
    assert kendalls_w(every) == 0
    # Friedman's chi-square is m (n - 1) W
    ranks = np.random.default_rng(3).permuted(np.tile(np.arange(1.0, 6), (9, 1)), axis=1)
    assert stats.friedmanchisquare(*ranks.T).statistic == pytest.approx(9 * 4 * kendalls_w(ranks))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_exact_small_cases() -> None:
    # six raters who all put a above b: 2 of 2^6 signs are as extreme
    assert wilcoxon(np.array([1.0, 2, 3, 4, 5, 6])) == pytest.approx(2 / 64)
    assert wilcoxon(np.zeros(5)) == 1 and friedman(np.ones((4, 3))) == (0, 1)
    # with ties: signs of 1, 1, 2 (mean ranks 1.5, 1.5, 3) whose lower sum is at most 1.5: none, and either 1, on both sides
    assert wilcoxon(np.array([1.0, -1, 2, 0])) == pytest.approx(6 / 8)
    # 10 of 10: 2 / 2^10
    result = summarize_discrimination([trial(0, i, "x", "x") for i in range(10)], ("x", "y"))
    assert result is not None and result.p_binomial == pytest.approx(2 / 1024)


def scipys(differences: Any, **how: Any) -> float:
    found: Any = stats.wilcoxon(differences, **how)
    return found.pvalue


def test_the_signed_rank_test_is_scipys(generator: np.random.Generator) -> None:
    for count in (3, 9, 50, 80):
        differences = generator.normal(0.3, 1, count)
        assert wilcoxon(differences) == pytest.approx(scipys(differences))
    tied = generator.integers(-3, 4, 9).astype(float)
    every = stats.PermutationMethod(n_resamples=1000)  # 2^8 signs or fewer: all of them
    assert wilcoxon(tied) == pytest.approx(scipys(tied[tied != 0], method=every))


def test_identical_raters_agree_and_a_preferred_method_comes_out_on_top(generator: np.random.Generator) -> None:
    same = [[[1, 3, 2, 4, 5]] * 4] * 8
    result = summarize_ranking(ballots(same, FIVE), FIVE, "quality")
    assert result is not None and result.agreement == 1 and result.chance == pytest.approx(1 / 8)
    assert [one.method for one in result.methods] == ["ControlNet", "lite", "sketch", "sketch-strong", "PITI"]
    assert result.friedman is not None and result.friedman[0] == pytest.approx(8 * 4) and result.friedman[1] < 1e-5
    # a taste with noise, the best method clear of the others
    scores = np.array([0.0, 1.0, 1.0, 2.0, 4.0])
    noisy = scores + generator.normal(0, 1.5, (12, 20, 5))
    result = summarize_ranking(ballots(noisy.argsort(-1).argsort(-1) + 1, FIVE), FIVE, "quality")
    assert result is not None and result.friedman is not None and result.friedman[1] < 1e-4
    assert [result.methods[i].method for i in (0, 1, 4)] == ["ControlNet", "lite", "PITI"]
    found = {(one.first, one.second): one.p_holm for one in result.comparisons}
    assert all(found["ControlNet", other] < 0.01 for other in FIVE[:-1])
    equals = next(p for pair, p in found.items() if set(pair) == {"sketch", "sketch-strong"})
    assert equals > 0.05 and result.agreement is not None and 0.3 < result.agreement < 0.9


def test_without_a_taste_p_values_are_uniform_and_agreement_is_chance(generator: np.random.Generator) -> None:
    values, pairs, agreements = list[float](), list[float](), list[float]()
    for _ in range(150):
        ranks = generator.permuted(np.tile(np.arange(1, 4), (12, 8, 1)), axis=-1)
        result = summarize_ranking(ballots(ranks, METHODS), METHODS, "quality")
        assert result is not None and result.friedman is not None and result.agreement is not None
        values.append(result.friedman[1])
        pairs.append(min(one.p_holm for one in result.comparisons))
        agreements.append(result.agreement)
    assert stats.kstest(values, "uniform").pvalue > 0.01
    assert np.mean(np.array(values) < 0.05) < 0.09 and np.mean(np.array(pairs) < 0.05) < 0.09
    assert np.mean(agreements) == pytest.approx(1 / 12, abs=0.01)


def trial(rater: int, item: int, made: str, named: str) -> Vote:
    return Vote(rater, f"{item}", "model", {named: 1}, (made,), "")


def test_precision_by_hand() -> None:
    votes = [trial(0, 0, "x", "x"), trial(0, 1, "y", "x"), trial(0, 2, "y", "y"), trial(0, 3, "x", "x")]
    votes += [trial(1, 0, "x", "y"), trial(1, 1, "y", "y")]
    result = summarize_discrimination(votes, ("x", "y"))
    assert result is not None and (result.raters, result.votes, result.correct) == (2, 6, 4)
    assert result.precision == pytest.approx((0.75 + 0.5) / 2)
    assert result.deviation == pytest.approx(np.std([0.75, 0.5], ddof=1))
    assert result.p_binomial == pytest.approx(2 * (15 + 6 + 1) / 64)  # 4, 5 or 6 of 6, and as few
    assert [(one.method, one.shown, one.recognized) for one in result.models] == [("x", 3, 2), ("y", 3, 2)]
    assert summarize_discrimination([], ("x", "y")) is None


def test_guessers_have_half_right_and_those_who_know_more(generator: np.random.Generator) -> None:
    small = 0
    for skill in (0.5, 0.8):
        for _ in range(40):
            made = generator.integers(0, 2, (12, 20))
            right = generator.random((12, 20)) < skill
            votes = [
                trial(r, i, "xy"[made[r, i]], "xy"[made[r, i] if right[r, i] else 1 - made[r, i]])
                for r in range(12)
                for i in range(20)
            ]
            result = summarize_discrimination(votes, ("x", "y"))
            assert result is not None and abs(result.precision - skill) < 0.12
            assert skill == 0.5 or (result.p_binomial < 1e-6 and result.p_raters is not None and result.p_raters < 1e-3)
            small += skill == 0.5 and result.p_binomial < 0.05
    assert small <= 6
