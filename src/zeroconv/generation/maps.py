"""From the controls of a request to controls with their networks and maps: opened, extracted, fitted and looked over."""

import json
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

from zeroconv import conditions
from zeroconv.checkpoints.formats.controlnet_hints import split_condition
from zeroconv.conditions.condition import Condition
from zeroconv.conditions.parameters import with_defaults
from zeroconv.conditions.raster.resizing import NEAREST, resize_map
from zeroconv.conditions.user_maps import check_user_map
from zeroconv.control import ControlNet
from zeroconv.data_uri import picture_name
from zeroconv.errors import name_field
from zeroconv.generation.control import Control
from zeroconv.generation.picture_input import open_mask
from zeroconv.generation.request import ControlRequest, ResizeMode
from zeroconv.images import open_image, open_map
from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["looks_like_map", "make_controls", "make_map"]

LINES = ("canny", "lines", "scribble", "lineart", "soft-edge")
"""Conditions whose maps are white lines on black."""


def make_controls(
    requests: Sequence[ControlRequest],
    base: StableDiffusion,
    size: tuple[int, int],
    resize: ResizeMode | None = None,
) -> list[Control]:
    """Open every ControlNet once and make its map.

    Args:
        requests: the controls.
        base: the base.
        size: of the pictures, width and height.
        resize: how pictures, maps and masks of another size are fitted. None cuts pictures and refuses maps and masks.

    Raises:
        InputError: for a network or picture that cannot be opened, a map of another size, a base that does not fit.
    """
    opened: dict[str, ControlNet] = {}
    controls: list[Control] = []
    for index, request in enumerate(requests):
        with name_field(f"controls.{index}.network"):
            network = open_network(request.network, base, opened)
            check_condition(network, extracted=request.image is not None)
        mask = None
        if request.mask is not None:
            with name_field(f"controls.{index}.mask"):
                mask = open_fitted(request.mask, open_mask, "mask", None, size, resize)
        with name_field(f"controls.{index}.{'image' if request.condition is None else 'condition'}"):
            image = make_map(network, request, size, resize)
        controls.append(Control(network, image, request.scale, request.start, request.end, mask, request.layers, checked=image))
    return controls


def open_network(name: str, base: StableDiffusion, opened: dict[str, ControlNet]) -> ControlNet:
    """A ControlNet that fits the base; of a ControlNet-Union the one of a condition, its tensors read once for all of them.

    Args:
        name: as in `ControlNet.from_pretrained`.
        base: the base.
        opened: those that are open already, by name, and a Union also by its name with "#"; this one is added.

    Raises:
        ValueError: when it cannot be opened, or does not fit.
    """
    if name not in opened:
        bare, condition = split_condition(name)
        union = opened.get(f"{bare}#")
        if union is not None and condition is not None:
            opened[name] = union.follow(condition)
            return opened[name]
        network = opened[name] = ControlNet.from_pretrained(name, unet=base.unet)
        network.check_base(base.unet)
        if network.config.union is not None:
            opened[f"{bare}#"] = network
    return opened[name]


def check_condition(network: ControlNet, extracted: bool) -> None:
    """That the condition a network follows is known here and, if maps are extracted for it, so are the parameters of training.

    Raises:
        InputError: listing the known ones.
    """
    if network.config.condition is None:
        return
    known = conditions.get(network.config.condition)
    if extracted:
        with_defaults(known, network.config.extract)


def make_map(network: ControlNet, request: ControlRequest, size: tuple[int, int], resize: ResizeMode | None) -> Image.Image:
    """The ready map of a request, or the one extracted from its picture, as the network's maps were in training.

    Raises:
        FileNotFoundError: when the picture is not there.
        ValueError: when it cannot be read, has another size, or no map can be extracted for this network.
    """
    known = conditions.find(network.config.condition)
    if request.condition is not None:
        opener = partial(known.open_map, size=size) if known else open_map
        image, source = open_fitted(request.condition, opener, "map", known, size, resize), request.condition
    else:
        assert request.image is not None, "a request has one of both"
        image, source = extract_map(network, request, size, resize), request.image
    if known is not None:
        check_user_map(known, image, picture_name(source))
    return image


def extract_map(network: ControlNet, request: ControlRequest, size: tuple[int, int], resize: ResizeMode | None) -> Image.Image:
    """The map of a picture, with the parameters of the network's training where the request says no others.

    Raises:
        ValueError: when the network follows no condition that is extracted.
    """
    assert request.image is not None, "its map is extracted"
    known, parameters = conditions.find(network.config.condition), {**network.config.extract, **request.extract}
    what, name = request.network, picture_name(request.image)
    if known is None:
        raise ValueError(f"{what} does not say which condition it follows: extract a map and give it as --condition")
    if known.needs_mask:
        raise ValueError(f"{what} fills a hole, and only you know where: give it as --condition, RGBA and transparent there")
    if network.config.extract and not request.extract:
        tell(Message(f"the map of {name} is extracted as in training, with {json.dumps(parameters)}", "map.extracted", "info"))
    if warning := known.domain_warning(parameters, "--set method=…"):
        tell(Message(f"{name}: {warning}", "extract.domain"))
    picture = open_image(request.image)
    if looks_like_map(known, picture):
        tell(Message(f"{name} looks like a {known.name} map already: give it as --condition, not as --image", "map.as-image"))
    return conditions.extract_at_size(known.name, picture, size, resize or "crop", **parameters)


def looks_like_map(condition: Condition, picture: Image.Image) -> bool:
    """Whether a picture is a map of lines, joints or classes already; grey and smooth ones cannot be told from pictures."""
    rgb = np.asarray(picture.convert("RGB")).astype(int)
    dark = float((rgb.max(axis=2) < 16).mean())
    pure = float(((rgb.max(axis=2) < 16) | (rgb.min(axis=2) > 239)).mean())
    if condition.name == "segmentation":
        return not condition.check(picture)
    if condition.name == "pose":
        return dark > 0.5 and not condition.check(picture)
    return condition.name in LINES and dark > 0.6 and pure > 0.97 and 1 - dark > 0.002 and not condition.check(picture)


def open_fitted(
    source: str,
    opener: Callable[[str], Image.Image],
    what: str,
    condition: Condition | None,
    size: tuple[int, int],
    resize: ResizeMode | None,
) -> Image.Image:
    """A map or mask of the pictures' size.

    Raises:
        ValueError: when it has another size and `resize` is None.
    """
    image = opener(source)
    if image.size == size:
        return image
    if resize is not None:
        return resize_map(image, size, condition.resizing if condition else NEAREST, resize)  # no value that was not there
    (width, height), (wanted_width, wanted_height) = image.size, size
    raise ValueError(
        f"the {what} {picture_name(source)} is {width}x{height} pixels, the pictures are {wanted_width}x{wanted_height}: "
        f"add --resize to fit it, or --size {width}x{height} for pictures of its size"
    )
