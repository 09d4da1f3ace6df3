"""Maps by the name of their condition: extracted from pictures, brought to another size."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import BatchedExtractor, Condition
from zeroconv.conditions.parameters import accepted_kwargs, with_defaults
from zeroconv.conditions.raster.resizing import check_size, inner_size, resize_map
from zeroconv.conditions.raster.side_by_side import join_maps
from zeroconv.conditions.raster.tiling import resize_for_detection
from zeroconv.conditions.registry import get
from zeroconv.errors import InputError
from zeroconv.images import fit, resize, to_8bit

__all__ = ["draw_parameters", "extract", "extract_all", "extract_at_size", "fit_map", "reextract_parameters"]


def extract(name: str, image: Image.Image, /, resolution: int | None = None, **parameters: Any) -> Image.Image:
    """The map of a picture, of the same size: RGB, or RGBA where the contract says so (transparent where the hole is).

    Of several conditions ("canny+depth") it holds their maps side by side, and parameters are called as "depth.method".

    Args:
        name: which condition, such as "canny".
        image: any picture, of any mode of Pillow's; see `zeroconv.images.to_8bit`.
        resolution: pixels of the shorter side at which the extractor sees the picture; None is the picture's own, for
            scribbles at most 512, as their strokes would otherwise depend on the size.
        **parameters: the extractor's own, such as `low` and `high`.

    Raises:
        InputError: for an unknown name, or a parameter that is unknown or makes no sense.
        ValueError: for a picture without pixels, or weights of another kind.
        FileNotFoundError: when a method's weights are not here and cannot be fetched.
    """
    condition = get(name)
    if condition.parts:
        with_defaults(condition, parameters)
        shared = {} if resolution is None else {"resolution": resolution}
        own = [(part, shared | condition.of_part(part, parameters)) for part in condition.parts]
        return join_maps([extract(part.name, image, **given) for part, given in own])
    checked = with_defaults(condition, {"resolution": resolution, **parameters})
    if "resolution" in signature(condition.extract).parameters:
        return condition.extract(to_8bit(image), **checked)
    picture = resize_for_detection(to_8bit(image), checked.pop("resolution"))
    made = condition.extract(picture, **checked)
    return made if picture.size == image.size else resize_map(made, image.size, condition.resizing, "stretch")


def extract_at_size(name: str, image: Image.Image, size: tuple[int, int], mode: str = "crop", **parameters: Any) -> Image.Image:
    """The map of a picture for pictures of another size: the picture is resized first, so that the map need not be.

    Args:
        name: which condition.
        image: any picture.
        size: of the map, width and height in pixels.
        mode: "crop", "stretch" or "fill", as in `fit_map`.
        **parameters: what `extract` takes, for the resized picture.

    Raises:
        InputError: as `extract`, and for an unknown mode or a size under 1 pixel.
        ValueError: as `extract`.
        FileNotFoundError: as `extract`.
    """
    check_size(size, mode)
    if mode == "crop":
        return extract(name, fit(image, size), **parameters)
    if mode == "stretch":
        return extract(name, resize(image, size), **parameters)
    return fit_map(extract(name, resize(image, inner_size(image.size, size)), **parameters), size, name, "fill")


def extract_all(name: str, images: Sequence[Image.Image], parameters: Sequence[Mapping[str, Any]]) -> list[Image.Image]:
    """The maps of many pictures, each with parameters of its own, as `extract` gives them but for rounding.

    A network sees those pictures in one batch that have one size and the same parameters.

    Args:
        name: which condition.
        images: any pictures.
        parameters: what `extract` takes, for each picture.

    Raises:
        InputError: as `extract`.
        ValueError: as `extract`.
        FileNotFoundError: as `extract`.
    """
    condition = get(name)
    if condition.parts:
        for given in parameters:
            with_defaults(condition, given)
        own = [(part, [condition.of_part(part, given) for given in parameters]) for part in condition.parts]
        maps = [extract_all(part.name, images, given) for part, given in own]
        return [join_maps(one) for one in zip(*maps, strict=True)]
    if condition.batched is None:
        return [extract(name, image, **given) for image, given in zip(images, parameters, strict=True)]
    checked = [with_defaults(condition, given) for given in parameters]
    pictures = [resize_for_detection(to_8bit(image), given["resolution"]) for image, given in zip(images, checked, strict=True)]
    maps = render_all(condition.batched, pictures, checked)
    return [resize_map(made, image.size, condition.resizing, "stretch") for made, image in zip(maps, images, strict=True)]


def render_all(
    extractor: BatchedExtractor, images: Sequence[Image.Image], parameters: Sequence[Mapping[str, Any]]
) -> list[Image.Image]:
    """The maps of pictures, which a network sees in one batch where `predict` takes the same parameters."""
    groups: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for index, given in enumerate(parameters):
        groups.setdefault(tuple(accepted_kwargs(extractor.predict, given).items()), []).append(index)
    maps: dict[int, Image.Image] = {}
    for given, members in groups.items():
        predictions = extractor.predict([images[i] for i in members], **dict(given))
        for i, prediction in zip(members, predictions, strict=True):
            maps[i] = extractor.render(images[i], prediction, **accepted_kwargs(extractor.render, parameters[i]))
    return [maps[i] for i in range(len(images))]


def fit_map(image: Image.Image, size: tuple[int, int], condition: str, mode: str = "crop") -> Image.Image:
    """A map of another size, as its condition needs it: palettes stay palettes, one-pixel lines stay lines.

    Args:
        image: the map, in the contract's mode. A map of the right size is returned as it is, as a copy.
        size: width and height in pixels.
        condition: the condition's name.
        mode: "crop" cuts the largest centred part of the right shape; "stretch" ignores the shape; "fill" shows the
            whole map, centred, with nothing around it: black, for normals the colour that faces the camera, for
            inpainting a hole, for pictures their outermost pixels repeated.

    Raises:
        InputError: for an unknown condition or mode, or a size under 1 pixel.
        ValueError: for a map under 1 pixel.
    """
    known = get(condition)
    return join_maps([resize_map(one, size, part.resizing, mode) for part, one in known.split(image)])


def draw_parameters(
    name: str, generator: np.random.Generator, size: tuple[int, int], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Parameters of `extract` for one training sample: those that are given, and the condition's others at random.

    Args:
        name: which condition.
        generator: of the sample.
        size: of the picture.
        given: parameters that are not drawn.

    Raises:
        InputError: for one that is unknown, or not of its type.
    """
    condition = get(name)
    with_defaults(condition, given)
    drawn = dict[str, Any]()
    for part in condition.each:  # one after the other from one generator
        if part.draw_parameters is not None:
            known = accepted_kwargs(part.draw_parameters, {**condition.of_part(part, given), "size": size})
            drawn |= {condition.key(part, key): value for key, value in part.draw_parameters(generator, **known).items()}
    return {**drawn, **given}


def reextract_parameters(name: str | Condition, asked: Mapping[str, Any] | None, extract: Mapping[str, Any]) -> dict[str, Any]:
    """How the condition of a generated picture is extracted again for its score.

    Args:
        name: which condition, or itself, which may have a score of another's.
        asked: parameters of its score, such as `method`; None takes those of `extract` that the score has too.
        extract: parameters of `extract`, such as those that a ControlNet was trained with.

    Raises:
        InputError: for one that the score does not have.
    """
    condition = get(name) if isinstance(name, str) else name
    known = [condition.key(part, key) for part in condition.each for key in score_parameters(part)]
    if asked is None:
        return {key: extract[key] for key in known if key in extract}
    for key in asked:
        if key not in known:
            raise InputError(
                f"the judge of {condition.name} has no parameter {key!r}; expected one of {', '.join(known)}",
                field=f"judge.{key}",
            )
    return dict(asked)


def score_parameters(condition: Condition) -> list[str]:
    """The parameters of its score beside the picture and the map."""
    return list(signature(condition.score).parameters)[2:]
