"""Means with 95 % bootstrap intervals (Efron, "Bootstrap methods: another look at the jackknife", 1979)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "bootstrap", "bootstrap_mean"]

RESAMPLES = 2000
PERCENTILES = (2.5, 97.5)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A number and the interval that holds 95 % of its bootstrap resamples.

    Attributes:
        value: computed from all pictures.
        low: 2.5th percentile.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of one number per picture.

    Raises:
        ValueError: when there are no values.
    """
    return bootstrap([values], lambda columns: columns[0].mean(axis=-1), seed)


def bootstrap(columns: Sequence[Sequence[float]], statistic: Callable[[list[Numbers]], Any], seed: int) -> Interval:
    """The statistic of all pictures, and percentiles of it over resamples of the pictures."""
    table = [np.asarray(column, dtype=np.float64) for column in columns]
    count = len(table[0])
    if count == 0:
        raise ValueError("got no values; a mean needs at least one")
    value = float(statistic(table))
    chosen = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))  # (resamples, pictures)
    drawn = np.asarray(statistic([column[chosen] for column in table]), dtype=np.float64)
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.percentile(drawn, PERCENTILES) if drawn.size else (value, value)
    return Interval(value, float(low), float(high))
