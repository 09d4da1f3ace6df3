"""Feature matrices as the distances between sets of pictures take them: looked at once, in double precision."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroconv.errors import InputError
from zeroconv.messages import Message, tell

__all__ = ["Features", "as_features", "as_pair", "require_one_dimension", "unit_rows", "warn_of_few"]

Features = NDArray[np.float64]
"""(N, D): one row for each picture."""


def as_features(features: ArrayLike, name: str = "features", least: int = 1) -> Features:
    """Features of N pictures as float64, (N, D).

    Args:
        features: (N, D), any type of number.
        name: what they are of, for errors.
        least: rows that there must be.

    Raises:
        InputError: for another shape, fewer rows, or values that are not finite.
    """
    try:
        array: NDArray[Any] = np.asarray(features, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} are no matrix of numbers: expected (pictures, dimension)", field=name) from error
    if array.ndim != 2 or not array.shape[1]:
        raise InputError(f"{name} have the shape {array.shape}; expected (pictures, dimension)", field=name)
    if len(array) < least:
        raise InputError(f"{name} are of {len(array)} pictures; expected {least} or more", field=name)
    wrong = np.flatnonzero(~np.isfinite(array).all(1))
    if len(wrong):
        counted = f"{len(wrong)} of {len(array)} pictures, the first in row {wrong[0]}"
        raise InputError(f"{name} hold NaN or infinity for {counted}", field=name)
    return array


def as_pair(
    found: ArrayLike, wanted: ArrayLike, least: int, names: tuple[str, str] = ("found", "wanted")
) -> tuple[Features, Features]:
    """Features of two sets that can be compared; arguments and errors as `as_features`.

    Raises:
        InputError: also when their dimensions differ: they come from two networks then.
    """
    a, b = as_features(found, names[0], least), as_features(wanted, names[1], least)
    require_one_dimension(a.shape[1], b.shape[1], names)
    return a, b


def require_one_dimension(a: int, b: int, names: tuple[str, str] = ("found", "wanted")) -> None:
    """Raise an InputError unless both sets have one dimension."""
    if a != b:
        said = f"{names[0]} have {a} dimensions and {names[1]} {b}; expected features of one network"
        raise InputError(said, field=names[0])


def unit_rows(features: Features, name: str = "features") -> Features:
    """Each row divided by its length.

    Raises:
        InputError: when a row is zero: it has no direction.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if not lengths.all():
        raise InputError(f"{name} are zero in row {int(np.argmin(lengths))}: they have no direction", field=name)
    return features / lengths


def warn_of_few(metric: str, count: int, least: int, why: str) -> None:
    """Say that a number comes from fewer pictures than it can be trusted with.

    Args:
        metric: its name.
        count: pictures of the smaller set.
        least: pictures from which on there is nothing to say.
        why: what is wrong below that.
    """
    if count < least:
        tell(Message(f"{metric} of {count} pictures: {why}; expected {least} or more", "metric.few-pictures"))
