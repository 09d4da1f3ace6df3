"""How much of what could be gained a control gains: the share of the gap between no control and the ceiling."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zeroconv.metrics.bootstrap import Interval, bootstrap

__all__ = ["bootstrap_share", "share_of_gap"]

SMALLEST_GAP = 1e-6  # below it there is no gap that could be closed

Numbers = NDArray[np.float64]


def share_of_gap(controlled: float, uncontrolled: float, ceiling: float) -> float | None:
    """`(F_controlled - F_none) / (F_ceiling - F_none)`: 0 obeys no better than no control, 1 as well as the ceiling.

    Args:
        controlled: fidelity with the control.
        uncontrolled: fidelity without it.
        ceiling: fidelity of the autoencoder's reconstruction of the truth.

    Returns:
        The share, or None when the ceiling is not above the uncontrolled pictures.
    """
    share = float(divide_gap(*(np.asarray(value, np.float64) for value in (controlled, uncontrolled, ceiling))))
    return None if np.isnan(share) else share


def divide_gap(controlled: Numbers, uncontrolled: Numbers, ceiling: Numbers) -> Numbers:
    """`share_of_gap` of arrays; NaN where there is no gap."""
    gap = ceiling - uncontrolled
    return (controlled - uncontrolled) / np.where(gap > SMALLEST_GAP, gap, np.nan)


def bootstrap_share(
    controlled: Sequence[float], uncontrolled: Sequence[float], ceiling: Sequence[float], seed: int = 0
) -> Interval | None:
    """`share_of_gap` of the means, with its interval; the arguments are one number per picture.

    The pictures are resampled together, so a hard picture is hard for all three.

    Returns:
        The share, or None when the ceiling is not above the uncontrolled pictures.

    Raises:
        ValueError: when there are no values.
    """

    def share(columns: list[Numbers]) -> Numbers:
        return divide_gap(*(column.mean(axis=-1) for column in columns))

    found = bootstrap([controlled, uncontrolled, ceiling], share, seed)
    return None if np.isnan(found.value) else found
