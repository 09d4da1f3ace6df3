"""All conditions by name, and `extract`."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
from PIL import Image

from zeroconv.conditions.canny import CANNY
from zeroconv.conditions.condition import Condition
from zeroconv.conditions.depth import DEPTH
from zeroconv.conditions.inpaint import INPAINT
from zeroconv.conditions.lineart import LINEART
from zeroconv.conditions.lines import LINES
from zeroconv.conditions.normal import NORMAL
from zeroconv.conditions.parameters import complete, taken_by
from zeroconv.conditions.pose import POSE
from zeroconv.conditions.raster.resizing import fit_map
from zeroconv.conditions.raster.tiling import at_resolution, seen_at
from zeroconv.conditions.scribble import SCRIBBLE
from zeroconv.conditions.segmentation import SEGMENTATION
from zeroconv.conditions.shuffle import SHUFFLE
from zeroconv.conditions.soft_edge import SOFT_EDGE
from zeroconv.conditions.tile import TILE
from zeroconv.images import to_8bit

__all__ = ["ALIASES", "NAMES", "draw_parameters", "extract", "extract_all", "get", "judge_of"]

KNOWN = {
    condition.name: condition
    for condition in (
        CANNY, SOFT_EDGE, SCRIBBLE, LINES, POSE, SEGMENTATION, DEPTH, NORMAL, LINEART, SHUFFLE, TILE, INPAINT,
    )
}  # fmt: skip
NAMES = tuple(KNOWN)
ALIASES = {"hed": "soft-edge", "mlsd": "lines", "openpose": "pose", "seg": "segmentation"}


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
        image: any picture, of any mode of Pillow's; see `zeroconv.images.to_8bit`.
        resolution: pixels of the shorter side at which the condition is looked for; None is the picture's own.
        **parameters: the extractor's own, such as `low` and `high`.

    Raises:
        ValueError: for an unknown name, a picture without pixels, or a parameter that is unknown or makes no sense.
        FileNotFoundError: when a method's weights are not here and cannot be fetched.
    """
    condition = get(name)
    told = complete(condition, {"resolution": resolution, **parameters})
    resolution = told.pop("resolution")
    return at_resolution(lambda picture: condition.extract(picture, **told), to_8bit(image), condition.name, resolution)


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
    pictures = [seen_at(to_8bit(image), given["resolution"]) for image, given in zip(images, told, strict=True)]
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
