"""From the controls of a request to controls with their networks and maps: opened, extracted, fitted and looked over."""

import json
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from zeroconv import conditions
from zeroconv.checkpoints.formats.controlnet_hints import split_condition
from zeroconv.conditions.condition import Condition
from zeroconv.conditions.parameters import with_defaults
from zeroconv.conditions.raster.resizing import LANCZOS, NEAREST, resize_map
from zeroconv.conditions.user_maps import check_user_map
from zeroconv.control import ControlNet
from zeroconv.data_uri import picture_name
from zeroconv.errors import InputError, name_field
from zeroconv.generation.control import Control
from zeroconv.generation.named_maps import check_channels, check_names, join_named, missing_map
from zeroconv.generation.picture_input import open_mask
from zeroconv.generation.request import ControlRequest, ResizeMode
from zeroconv.images import open_image, open_map
from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.eight_bits import quantize

__all__ = ["describe_misfit", "looks_like_map", "make_controls", "make_map", "open_fitted"]

LINES = ("canny", "lines", "scribble", "lineart", "soft-edge")
"""Conditions whose maps are white lines on black."""
LATENT = 8  # pixels of a side for one latent, in every family that is opened


def make_controls(
    requests: Sequence[ControlRequest],
    base: StableDiffusion,
    size: tuple[int, int],
    resize: ResizeMode | None = None,
    hole: Image.Image | None = None,
    opened: dict[str, ControlNet] | None = None,
) -> list[Control]:
    """Open every ControlNet once and make its map.

    Args:
        requests: the controls.
        base: the base.
        size: of the pictures, width and height.
        resize: how pictures, maps and masks of another size are fitted. None cuts pictures and refuses maps and masks.
        hole: where the pictures are painted anew, for maps of inpainting that are made from a picture.
        opened: networks of this base that are open already, by name; those that are not are added.

    Raises:
        InputError: for a network or picture that cannot be opened, a map of another size, a base that does not fit.
    """
    opened = {} if opened is None else opened
    controls: list[Control] = []
    for index, request in enumerate(requests):
        with name_field(f"controls.{index}.network"):
            network = open_network(request.network, base, opened)
            check_condition(network, extracted=request.image is not None)
        mask = None
        if request.mask is not None:
            with name_field(f"controls.{index}.mask"):
                mask = open_fitted(request.mask, open_mask, "mask", size, resize)
        with name_field(f"controls.{index}.{'condition' if request.condition else 'image' if request.image else 'maps'}"):
            image = make_map(network, request, size, resize, hole)
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
        if base.options.get("weights") is not None:
            quantize(network)
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
    check_channels(network, known)
    if extracted:
        with_defaults(known, network.config.extract)


def make_map(
    network: ControlNet,
    request: ControlRequest,
    size: tuple[int, int],
    resize: ResizeMode | None,
    hole: Image.Image | None = None,
) -> Image.Image:
    """The ready map of a request, or the one extracted from its picture, as the network's maps were in training.

    Of a network of several conditions each map is either of both, and they stand side by side.

    Raises:
        FileNotFoundError: when the picture is not there.
        ValueError: when it cannot be read, has another size, or no map can be extracted for this network.
    """
    known = conditions.find(network.config.condition)
    if known is None:
        if request.condition is None:
            what = request.network
            raise ValueError(f"{what} does not say which condition it follows: extract a map and give it as --condition")
        return open_fitted(request.condition, open_map, "map", size, resize)
    if known.parts and request.condition is not None:
        image = open_joined(known, request, size)
        check_user_map(known, image, picture_name(request.condition))
        return image
    ready = check_names(request.maps if request.condition is None else {known.name: request.condition}, known, request.network)
    maps: dict[str, Image.Image | None] = {}
    for part in known.each:
        source = ready.get(part.name, request.image)
        if source is None and part.name not in ready:
            raise missing_map(request.network, known, part.name)
        if source is None:
            maps[part.name] = None
            tell(Message(f"the map of {part.name} is left out: {request.network} reads zeros", "map.left-out", "info"))
            continue
        if part.name in ready:
            given = part.open_map(str(source), size)
            made = fit_to_pictures(given, picture_name(source), "map", part, size, resize)
        else:
            given = made = extract_map(network, request, part, size, resize, hole)
        check_user_map(part, made, picture_name(source), given)
        maps[part.name] = made
    return join_named(maps, known, request.network)


def open_joined(known: Condition, request: ControlRequest, size: tuple[int, int]) -> Image.Image:
    """The maps of several conditions from one picture that holds them side by side, as a saved picture has them.

    Raises:
        InputError: for a picture of another size, such as one of their maps.
    """
    assert request.condition is not None, "it is ready"
    image = known.open_map(request.condition)
    if image.size != (len(known.parts) * size[0], size[1]):
        names, name = " and ".join(part.name for part in known.parts), picture_name(request.condition)
        hint = "name each: " + " ".join(f"--condition {part.name}=PATH" for part in known.parts)
        said = f"{request.network} follows {names}, and {name} is one map without a name"
        raise InputError(said, field="condition", hint=hint)
    return image


def extract_map(
    network: ControlNet,
    request: ControlRequest,
    known: Condition,
    size: tuple[int, int],
    resize: ResizeMode | None,
    hole: Image.Image | None,
) -> Image.Image:
    """The map of a picture, with the parameters of the network's training where the request says no others.

    Args:
        network: the ControlNet.
        request: what is asked for.
        known: the condition, or the one of several.
        size: of the pictures.
        resize: how the picture is fitted.
        hole: white where the picture is painted anew, if that is known.

    Raises:
        ValueError: when only the user can know the map.
    """
    assert request.image is not None, "its map is extracted"
    whole = conditions.get(str(network.config.condition))
    learnt, asked = whole.of_part(known, network.config.extract), whole.of_part(known, request.extract)
    parameters, what, name = {**learnt, **asked}, request.network, picture_name(request.image)
    if known.needs_mask and hole is not None:
        return known.extract(resize_map(open_image(request.image), size, LANCZOS, resize or "crop"), mask=hole)
    if known.needs_mask:
        option = f"--condition {whole.key(known, '').replace('.', '=PATH')}".strip()
        raise ValueError(f"{what} fills a hole, and only you know where: give it as {option}, RGBA and transparent there")
    if learnt and not asked:
        tell(Message(f"the map of {name} is extracted as in training, with {json.dumps(parameters)}", "map.extracted", "info"))
    if warning := known.domain_warning(parameters, f"--set {whole.key(known, 'method')}=…"):
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
    source: str, opener: Callable[[str], Image.Image], what: str, size: tuple[int, int], resize: ResizeMode | None
) -> Image.Image:
    """A mask, or a map of an unknown condition, of the pictures' size.

    Raises:
        ValueError: when it has another size and `resize` is None.
    """
    return fit_to_pictures(opener(source), picture_name(source), what, None, size, resize)


def fit_to_pictures(
    image: Image.Image, name: str, what: str, condition: Condition | None, size: tuple[int, int], resize: ResizeMode | None
) -> Image.Image:
    """A map or mask at the pictures' size.

    Raises:
        ValueError: when it has another size and `resize` is None.
    """
    if image.size == size:
        return image
    if resize is None:
        raise ValueError(f"the {what} {name} is {describe_misfit(image.size, size)}")
    return resize_map(image, size, condition.resizing if condition else NEAREST, resize)  # no value that was not there


def describe_misfit(own: tuple[int, int], size: tuple[int, int]) -> str:
    """That a map, mask or picture has another size than the pictures, and what to do.

    Args:
        own: its width and height.
        size: of the pictures.
    """
    said = f"{own[0]}x{own[1]} pixels, the pictures are {size[0]}x{size[1]}: add --resize to fit it"
    possible = all(side % LATENT == 0 for side in own)
    return f"{said}, or --size {own[0]}x{own[1]} for pictures of its size" if possible else said
