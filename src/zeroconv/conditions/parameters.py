"""An extractor's parameters: their defaults, their types, and whether a value will do."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import Condition

WORDS: dict[Any, str] = {
    bool: "true or false", int: "a finite number", float: "a finite number", str: "text", Literal: "text",
    Path: "a path", Image.Image: "a picture", Sequence: "some numbers", NoneType: "None",
}  # fmt: skip
"""What users call the kinds that extractors' parameters are annotated with."""


def read_value(text: str) -> bool | float | str:
    """A parameter's value as it is typed: yes or no for `true` and `false`, a number, or else a word."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def defaults(condition: Condition) -> dict[str, Any]:
    """What each parameter of `extract` is when it is left out."""
    return {name: default for name, (_, default) in parameters_of(condition).items()}


@cache
def parameters_of(condition: Condition) -> dict[str, tuple[Any, Any]]:
    """The kind and the default of each parameter of `extract`."""
    own = list(signature(condition.extract, eval_str=True).parameters.values())[1:]
    return {**{one.name: (one.annotation, one.default) for one in own}, "resolution": (int | None, None)}


def complete(condition: Condition, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of `extract`, with the defaults of those that are not given; NumPy's numbers become Python's.

    Raises:
        ValueError: for one that is unknown, or not of its kind.
    """
    known = parameters_of(condition)
    check_parameters(condition.name, {name: kind for name, (kind, _) in known.items()}, given)
    python = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
    return {**defaults(condition), **python}  # bytes of NumPy overflow


def taken_by(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the given values that a function names among its parameters."""
    return {key: given[key] for key in signature(function).parameters if key in given}


def check_parameters(what: str, known: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Raise a ValueError for a parameter that is not among the known ones, or not of the kind that its annotation says."""
    for key, value in parameters.items():
        if key not in known:
            raise ValueError(f"{what}: there is no parameter {key!r}; expected one of {', '.join(known)}")
        kinds = get_args(known[key]) if isinstance(known[key], UnionType) else (known[key],)
        if not any(is_of(value, kind) for kind in kinds):
            expected = " or ".join(dict.fromkeys(WORDS.get(get_origin(kind) or kind, str(kind)) for kind in kinds))
            raise ValueError(f"{what}: {key} is {value!r:.60}; expected {expected}")


def finite(value: Any) -> bool:
    """Whether a number is finite, and not a whole number beyond all others."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_of(value: object, kind: Any) -> bool:
    """Whether a value is of the kind of an annotation; numbers are finite."""
    if kind is bool:
        return isinstance(value, bool | int | np.bool_) and value in (False, True)
    if kind in (int, float):
        return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and finite(value)
    if kind in (str, Path) or get_origin(kind) is Literal:
        return isinstance(value, str | PathLike)
    return isinstance(value, get_origin(kind) or kind)
