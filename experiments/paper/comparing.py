"""Numbers of the same scenes against each other, with 95 % bootstrap intervals, and what they say of the paper's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from experiments.paper.rows import Row

from zeroconv.evaluation.gap import divide_gap
from zeroconv.metrics.bootstrap import Interval, bootstrap, bootstrap_mean

__all__ = ["Marks", "compare_shares", "difference", "judge", "mean_of_seeds", "ratio", "short"]

Marks = tuple[Sequence[float], Sequence[float], Sequence[float]]
"""Of each scene: with control, without it, and of the true picture through the autoencoder."""


def compare_shares(first: Marks, second: Marks, compare: Callable[[Any, Any], Any]) -> Interval | None:
    """Two shares of gaps against each other, scenes resampled together; None where there is no gap, or nothing to divide by.

    Args:
        first: of so many scenes.
        second: of as many.
        compare: of the two shares, `operator.sub` or `operator.truediv`.
    """

    def statistic(columns: Sequence[Any]) -> Any:
        means = [column.mean(axis=-1) for column in columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            return compare(divide_gap(*means[:3]), divide_gap(*means[3:]))

    found = bootstrap([*first, *second], statistic, 0)
    return found if np.isfinite(found.value) else None


def mean_of_seeds(found: Sequence[Row], kept: Sequence[int]) -> list[float]:
    """The fidelity of each scene, averaged over the seeds of the training."""
    return np.mean([[row["fidelity"][i] for i in kept] for row in found], axis=0).tolist()


def ratio(values: Sequence[float], reference: Sequence[float]) -> Interval:
    """The mean of one number per picture as a multiple of the true pictures' mean, scenes resampled together."""
    return bootstrap([values, reference], lambda columns: columns[0].mean(axis=-1) / columns[1].mean(axis=-1), 0)


def difference(values: Sequence[float], others: Sequence[float]) -> Interval:
    """The mean difference of the same scenes."""
    return bootstrap_mean([value - other for value, other in zip(values, others, strict=True)])


def judge(found: Interval, expected: float = 0.0, above: str = "agrees", below: str = "does not agree") -> str:
    """Whether a number that the paper, or whoever expects it, has above another one is so here, in these words."""
    return above if found.low > expected else below if found.high < expected else "not decided"


def short(interval: Interval, form: str = ".2f") -> str:
    """A number with its interval."""
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
