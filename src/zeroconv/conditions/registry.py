"""All conditions by name, and `extract`."""

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

from zeroconv.conditions.canny import CANNY
from zeroconv.conditions.contract import Condition
from zeroconv.conditions.depth import DEPTH
from zeroconv.conditions.detection import at_resolution, seen_at
from zeroconv.conditions.fitting import fit_map
from zeroconv.conditions.inpaint import INPAINT
from zeroconv.conditions.lineart import LINEART
from zeroconv.conditions.lines import LINES
from zeroconv.conditions.normal import NORMAL
from zeroconv.conditions.pose import POSE
from zeroconv.conditions.scribble import SCRIBBLE
from zeroconv.conditions.segmentation import SEGMENTATION
from zeroconv.conditions.shuffle import SHUFFLE
from zeroconv.conditions.soft_edge import SOFT_EDGE
from zeroconv.conditions.tile import TILE
from zeroconv.images import plain

__all__ = ["ALIASES", "NAMES", "defaults", "draw_parameters", "extract", "extract_all", "get", "judge_of", "read_value"]

KNOWN = {
    condition.name: condition
    for condition in (
        CANNY, SOFT_EDGE, SCRIBBLE, LINES, POSE, SEGMENTATION, DEPTH, NORMAL, LINEART, SHUFFLE, TILE, INPAINT,
    )
}  # fmt: skip
NAMES = tuple(KNOWN)
ALIASES = {"hed": "soft-edge", "mlsd": "lines", "openpose": "pose", "seg": "segmentation"}
WORDS: dict[Any, str] = {
    bool: "true or false", int: "a finite number", float: "a finite number", str: "text", Literal: "text",
    Path: "a path", Image.Image: "a picture", Sequence: "some numbers", NoneType: "None",
}  # fmt: skip
"""What users call the kinds that extractors' parameters are annotated with."""


def get(name: str) -> Condition:
    """A condition by name or alias.

    Raises:
        ValueError: for an unknown name, listing the known ones.
    """
    found = KNOWN.get(ALIASES.get(name, name))
    if found is None:
        raise ValueError(f"unknown condition {name!r}; expected one of {', '.join(NAMES)}")
    return found


def extract(name: str, image: Image.Image, /, resolution: int | None = None, **parameters: Any) -> Image.Image:
    """The map of a picture: RGB, of the same size; of inpainting RGBA, transparent where the hole is.

    Args:
        name: which condition, such as "canny".
        image: any picture, of any mode of Pillow's; see `zeroconv.images.plain`.
        resolution: pixels of the shorter side at which the condition is looked for; None is the picture's own.
        **parameters: the extractor's own, such as `low` and `high`.

    Raises:
        ValueError: for an unknown name, a picture without pixels, or a parameter that is unknown or makes no sense.
        FileNotFoundError: when a method's weights are not here and cannot be fetched.
    """
    condition = get(name)
    told = complete(condition, {"resolution": resolution, **parameters})
    resolution = told.pop("resolution")
    return at_resolution(lambda picture: condition.extract(picture, **told), plain(image), condition.name, resolution)


def extract_all(name: str, images: Sequence[Image.Image], parameters: Sequence[Mapping[str, Any]]) -> list[Image.Image]:
    """The maps of many pictures, each with parameters of its own, as `extract` gives them but for rounding.

    A network sees those pictures together that have one size and for which it is told the same.

    Args:
        name: which condition.
        images: any pictures.
        parameters: what `extract` takes, for each picture.

    Raises:
        ValueError: as `extract`.
        FileNotFoundError: as `extract`.
    """
    condition, halves = get(name), get(name).halves
    if halves is None:
        return [extract(name, image, **given) for image, given in zip(images, parameters, strict=True)]
    told = [complete(condition, given) for given in parameters]
    pictures = [seen_at(plain(image), given["resolution"]) for image, given in zip(images, told, strict=True)]
    alike: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for index, given in enumerate(told):
        alike.setdefault(tuple(taken_by(halves.look, given).items()), []).append(index)
    made: dict[int, Image.Image] = {}
    for asked, members in alike.items():
        for index, found in zip(members, halves.look([pictures[i] for i in members], **dict(asked)), strict=True):
            drawn = halves.draw(pictures[index], found, **taken_by(halves.draw, told[index]))
            made[index] = fit_map(drawn, images[index].size, condition.name, "stretch")
    return [made[index] for index in range(len(images))]


def draw_parameters(
    name: str, generator: np.random.Generator, size: tuple[int, int], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Parameters of `extract` for one training visit: those that are given, and the condition's others at random.

    Args:
        name: which condition.
        generator: of the visit.
        size: of the picture.
        given: parameters that are not drawn.

    Raises:
        ValueError: for one that is unknown, or not of its kind.
    """
    complete(get(name), given)
    draws = get(name).draw_parameters
    return {**draws(generator, **taken_by(draws, {**given, "size": size})), **given} if draws else dict(given)


def judge_of(name: str, asked: Mapping[str, Any] | None, extract: Mapping[str, Any]) -> dict[str, Any]:
    """Who reads maps back: what is asked for, else those of an extractor's parameters that the measure takes too.

    Args:
        name: which condition.
        asked: parameters of its measure, such as `method`.
        extract: parameters of `extract`, such as those that a ControlNet was trained with.

    Raises:
        ValueError: for one that the measure does not have.
    """
    condition = get(name)
    measure = condition.measures or condition.fidelity
    if asked is None:
        return taken_by(measure, extract)
    known = list(signature(measure).parameters)[2:]
    for key in asked:
        if key not in known:
            raise ValueError(f"the judge of {condition.name} has no parameter {key!r}; expected one of {', '.join(known)}")
    return dict(asked)


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
