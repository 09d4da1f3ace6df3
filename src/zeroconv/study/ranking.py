"""What rankings say: average human ranking (Zhang et al., 2023, table 1), agreement of the raters, significance."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroconv.errors import InputError
from zeroconv.study.order import Aspect
from zeroconv.study.store import Vote

__all__ = ["Comparison", "MethodRank", "RankingResult", "friedman", "holm", "kendalls_w", "summarize_ranking", "wilcoxon"]

Numbers = NDArray[np.float64]
SCIPY = 'pip install "zeroconv[serve]"'
MOST_EXACT = 50
DIGITS = 9  # means of the same ranks in another order are the same


@dataclass(frozen=True)
class MethodRank:
    """The average human ranking of a method.

    Attributes:
        method: its name.
        mean: of the raters' own means; the highest is best.
        deviation: sample standard deviation of the raters' means; None for a single rater.
    """

    method: str
    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Comparison:
    """Two methods.

    Attributes:
        first: the better one.
        second: the other one.
        difference: of their means.
        p: of the Wilcoxon signed-rank test over raters.
        p_holm: corrected for all pairs.
    """

    first: str
    second: str
    difference: float
    p: float
    p_holm: float


@dataclass(frozen=True)
class RankingResult:
    """All about one aspect.

    Attributes:
        aspect: "quality" or "fidelity".
        raters: who voted.
        votes: rankings.
        methods: best first.
        friedman: chi-square and p over raters: would methods that are all the same come out so far apart? None for two
            methods, which the comparison is for, and for a single rater.
        comparisons: of all pairs; none for a single rater.
        agreement: Kendall's W, the mean over items that several raters ranked: 1 when all say the same; None without any.
        chance: what W would be on average if all guessed.
    """

    aspect: Aspect
    raters: int
    votes: int
    methods: list[MethodRank]
    friedman: tuple[float, float] | None
    comparisons: list[Comparison]
    agreement: float | None
    chance: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = asdict(self)
        return {**found, "friedman": self.friedman and dict(zip(("chi_square", "p"), self.friedman, strict=True))}


def summarize_ranking(votes: Sequence[Vote], methods: Sequence[str], aspect: Aspect) -> RankingResult | None:
    """Judge the votes of one aspect.

    Raters are independent of each other, their votes are not: so each rater counts once in the tests, with the mean rank
    that they gave each method, whether they ranked all items or a few.

    Args:
        votes: of all aspects.
        methods: names.
        aspect: which.

    Returns:
        None when nobody voted.

    Raises:
        InputError: when SciPy is missing.
    """
    chosen = [vote for vote in votes if vote.aspect == aspect]
    if not chosen:
        return None
    raters = sorted({vote.rater for vote in chosen})
    means = np.array(
        [[fmean(vote.ranks[name] for vote in chosen if vote.rater == rater) for name in methods] for rater in raters]
    ).round(DIGITS)  # (raters, methods)
    several = len(raters) > 1
    averages = [
        MethodRank(name, float(column.mean()), stdev(column.tolist()) if several else None)
        for name, column in zip(methods, means.T, strict=True)
    ]
    agreement, chance = measure_agreement(chosen, methods)
    return RankingResult(
        aspect=aspect,
        raters=len(raters),
        votes=len(chosen),
        methods=sorted(averages, key=lambda one: -one.mean),
        friedman=friedman(means) if several and len(methods) > 2 else None,
        comparisons=compare(means, averages) if several else [],
        agreement=agreement,
        chance=chance,
    )


def measure_agreement(votes: Sequence[Vote], methods: Sequence[str]) -> tuple[float | None, float | None]:
    """Kendall's W and what it would be by chance, 1 / raters: means over the items that several raters ranked."""
    by_item: dict[str, list[list[int]]] = {}
    for vote in votes:
        by_item.setdefault(vote.item, []).append([vote.ranks[name] for name in methods])
    tables = [np.array(rows, dtype=np.float64) for rows in by_item.values() if len(rows) > 1]
    if not tables:
        return None, None
    return fmean(kendalls_w(table) for table in tables), fmean(1 / len(table) for table in tables)


def kendalls_w(ranks: Numbers) -> float:
    """Kendall's coefficient of concordance, `W = 12 S / (m² (n³ − n))`.

    `S` is the sum of squared deviations of the rank sums from their mean (Kendall & Babington Smith, "The problem of m
    rankings", 1939).

    Args:
        ranks: (m, n), each row the ranks 1 … n that one rater gave.
    """
    raters, methods = ranks.shape
    sums = ranks.sum(axis=0)
    return float(12 * ((sums - sums.mean()) ** 2).sum() / (raters**2 * (methods**3 - methods)))


def friedman(means: Numbers) -> tuple[float, float]:
    """Friedman's test over raters: chi-square and p (Friedman, "The use of ranks…", 1937).

    Args:
        means: (raters, methods), at least 3 methods.
    """
    if (means == means[:, :1]).all():
        return 0.0, 1.0  # everybody finds everything alike
    found = scipy_stats().friedmanchisquare(*means.T)
    return float(found.statistic), float(found.pvalue)


def compare(means: Numbers, averages: Sequence[MethodRank]) -> list[Comparison]:
    """All pairs, the better one first, the clearest pair first."""
    pairs = list(itertools.combinations(range(len(averages)), 2))
    values = [wilcoxon((means[:, i] - means[:, j]).round(DIGITS)) for i, j in pairs]
    found = list[Comparison]()
    for (i, j), p, corrected in zip(pairs, values, holm(values), strict=True):
        first, second = sorted((averages[i], averages[j]), key=lambda one: -one.mean)
        found.append(Comparison(first.method, second.method, first.mean - second.mean, p, corrected))
    return sorted(found, key=lambda one: (one.p, -one.difference))


def wilcoxon(differences: Numbers) -> float:
    """The two-sided p value that differences lie around 0, by signed ranks (Wilcoxon, "Individual comparisons…", 1945).

    Differences of 0 are left out, as Wilcoxon did. Exact, with ties too, for up to `MOST_EXACT` others: the probability of
    every sum of ranks if a fair coin chose each sign.
    """
    told = differences[differences != 0]
    if not len(told):
        return 1.0
    if len(told) > MOST_EXACT:
        return float(scipy_stats().wilcoxon(told).pvalue)
    sizes = np.abs(told)
    below, upto = (sizes[:, None] > sizes).sum(axis=1), (sizes[:, None] >= sizes).sum(axis=1)
    doubled = below + upto + 1  # twice the mean rank, a whole number
    chances = np.zeros(int(doubled.sum()) + 1)
    chances[0] = 1.0
    for step in doubled:
        chances = (chances + np.concatenate((np.zeros(step), chances[:-step]))) / 2
    lower = min(int(doubled[told > 0].sum()), int(doubled[told < 0].sum()))
    return min(1.0, 2 * float(chances[: lower + 1].sum()))


def holm(values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    corrected, highest = [0.0] * len(values), 0.0
    for place, index in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        highest = max(highest, min(1.0, (len(values) - place) * values[index]))
        corrected[index] = highest
    return corrected


def scipy_stats() -> Any:
    """SciPy's tests.

    Raises:
        InputError: when it is not installed.
    """
    try:
        from scipy import stats
    except ImportError as error:
        raise InputError("the significance of votes needs SciPy, which is not installed", hint=SCIPY) from error
    return stats
