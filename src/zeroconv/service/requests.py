"""What a request to a service may name: pictures that it holds or that are in the store, and networks that are listed."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from zeroconv import conditions
from zeroconv.data_uri import is_data_uri, read_data_uri
from zeroconv.errors import InputError
from zeroconv.generation import BaseRequest, ControlRequest, GenerationRequest
from zeroconv.service.catalogue import Catalogue
from zeroconv.service.failure import MissingError
from zeroconv.service.pictures import PICTURE, PictureStore
from zeroconv.service.settings import Limits

__all__ = [
    "PICTURE_FIELDS",
    "check_limits",
    "check_names",
    "check_own_size",
    "check_parameters",
    "check_text",
    "count_tiles",
    "map_pictures",
    "open_parameters",
    "store_picture",
]

PICTURE_FIELDS = ("init_image", "mask_image")
"""Fields of a request beside those of its controls that hold a picture, of whichever it has."""
CONTROL_PICTURES = ("image", "condition", "mask")
CLOSED_FORMATS = ("path", "picture")
LONGEST_TEXT = 10_000  # letters of a prompt
LARGEST_NUMBER = 4096  # pixels, of an extractor's parameters
EXPECTED = f'expected a data: URI, or "{PICTURE}ID" of a picture that was sent before'


def map_pictures(request: GenerationRequest, change: Callable[[str, str], str]) -> GenerationRequest:
    """The same request with every picture replaced.

    Args:
        request: any.
        change: `change(picture, field)` gives another text for a picture.
    """
    own = {name: change(value, name) for name in PICTURE_FIELDS if (value := getattr(request, name, None)) is not None}
    controls: list[ControlRequest] = []
    for index, control in enumerate(request.controls):
        place = f"controls.{index}"
        found = {name: getattr(control, name) for name in CONTROL_PICTURES}
        changed: dict[str, Any] = {name: change(value, f"{place}.{name}") for name, value in found.items() if value is not None}
        maps = {name: value and change(value, f"{place}.maps.{name}") for name, value in control.maps.items()}
        controls.append(control.model_copy(update={**changed, "maps": maps}))
    return request.model_copy(update={**own, "controls": tuple(controls)})


def store_picture(picture: str, field: str, store: PictureStore) -> str:
    """A picture of a request by its place in the store: `picture:ID`.

    Args:
        picture: a `data:` URI, or `picture:ID`.
        field: of the request.
        store: where it is, or is kept from now on.

    Raises:
        InputError: it is neither, or no readable picture.
    """
    try:
        if is_data_uri(picture):
            return PICTURE + store.add(read_data_uri(picture).getvalue()).id
        if picture.startswith(PICTURE):
            store.touch(picture.removeprefix(PICTURE))
            return picture
    except (ValueError, MissingError) as error:
        raise InputError(str(error), field=field) from error
    raise InputError(f"{field} is {picture!r:.60}", field=field, hint=EXPECTED)


def check_names(request: GenerationRequest, catalogue: Catalogue) -> GenerationRequest:
    """The same request with the base spelt out, once everything it names is listed.

    Raises:
        InputError: it names a base, network or file that is not listed, or opens a base in a way of its own.
    """
    default = catalogue.bases[0].name
    base = request.base if "base" in request.model_fields_set else BaseRequest(name=default)
    if base.name not in {one.name for one in catalogue.bases}:
        known = ", ".join(one.name for one in catalogue.bases)
        raise InputError(f"base is {base.name!r:.60}; expected one of {known}", field="base.name")
    usual = BaseRequest(name=base.name, device=catalogue.device, dtype=catalogue.dtype)
    for name in BaseRequest.model_fields:
        value = getattr(base, name)
        if value not in (getattr(usual, name), BaseRequest.model_fields[name].get_default()):
            raise InputError(f"base.{name} cannot be chosen here", field=f"base.{name}", hint="leave it out")
    known = catalogue.networks_of(base.name)
    for index, control in enumerate(request.controls):
        if control.network not in known:
            said = f"the network is {control.network!r:.60}; expected one of {', '.join(known)}"
            raise InputError(said, field=f"controls.{index}.network")
        check_parameters(known[control.network].condition, control.extract, f"controls.{index}.extract")
    return request.model_copy(update={"base": BaseRequest(name=base.name)})


def check_text(request: GenerationRequest) -> None:
    """That its texts are text: JSON can hold halves of letters (surrogates), which nothing can write.

    Raises:
        InputError: one is not.
    """
    for field, value in request.model_dump(mode="json").items():
        if not all(text.isascii() or is_text(text) for text in texts_in(value)):  # pictures are long, and ASCII
            raise InputError(f"{field} holds half of a letter, which is no text", field=field)


def texts_in(value: Any) -> Iterator[str]:
    """Every text in plain values, the names in it included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        inside: Any = cast("dict[str, Any]", value).items() if isinstance(value, dict) else value
        for one in inside:
            yield from texts_in(list(one) if isinstance(one, tuple) else one)


def is_text(text: str) -> bool:
    """Whether a text can be written."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_limits(request: GenerationRequest, limits: Limits) -> None:
    """That a request asks for no more than is done for one.

    Raises:
        InputError: naming what is too much.
    """
    longest = limits.longest_side if request.tile is None else limits.longest_tiled
    amounts = [
        ("num_images", request.num_images, limits.images),
        ("num_inference_steps", request.num_inference_steps, limits.steps),
        ("controls", len(request.controls), limits.controls),
        *(("size", side, longest) for side in request.size or ()),
        ("tile", request.tile or 0, limits.longest_side),
        *((name, len(getattr(request, name)), LONGEST_TEXT) for name in ("prompt", "negative_prompt")),
    ]
    for field, got, most in amounts:
        if got > most:
            letters = " letters" if field.endswith("prompt") else ""
            raise InputError(f"{field} is {got}{letters}; expected {most} at most here", field=field)
    if request.tile is not None and (count := count_tiles(request)) > limits.tiles:
        said = f"tile is {request.tile}, which makes {count} tiles; expected {limits.tiles} at most here"
        raise InputError(said, field="tile", hint="larger tiles, or less overlap")
    if request.seed + request.num_images > 2**64:
        raise InputError(f"seed is {request.seed}; the last picture's would be beyond 2^64", field="seed")


def check_own_size(request: GenerationRequest, store: PictureStore, limits: Limits) -> None:
    """That pictures which get the size of the one they start from are not too large.

    Args:
        request: its pictures are in the store.
        store: where.
        limits: of requests.

    Raises:
        InputError: they are.
    """
    if request.size is None and request.init_image is not None:
        most = limits.longest_side if request.tile is None else limits.longest_tiled
        width, height = store.size(request.init_image.removeprefix(PICTURE))
        if max(width, height) > most:
            said = f"init_image is {width}x{height} pixels; expected {most} a side at most here"
            raise InputError(said, field="init_image", hint="say the size of the pictures, and it is resized to it")


def count_tiles(request: GenerationRequest) -> int:
    """How many tiles a request whose size is said divides its pictures into; 1 where nothing is said."""
    assert request.tile is not None, "it has tiles"
    overlap = request.tile // 2 if request.tile_overlap is None else request.tile_overlap
    step = max(1, request.tile - overlap)
    return math.prod(max(1, -(-(side - overlap) // step)) for side in request.size or ())


def open_parameters(condition: str) -> dict[str, Any]:
    """The JSON Schema of the parameters of an extractor that requests may set: those that name no file and no device."""
    schema = conditions.json_schema(conditions.get(condition))
    found = {name: one for name, one in schema["properties"].items() if not is_closed(name, one)}
    return {**schema, "properties": found}


def is_closed(name: str, schema: Mapping[str, Any]) -> bool:
    """Whether a parameter is the server's own: a path, a picture, a device."""
    kinds = [schema, *schema.get("anyOf", ())]
    return name.rpartition(".")[2] in ("device", "weights") or any(kind.get("format") in CLOSED_FORMATS for kind in kinds)


def check_parameters(condition: str | None, parameters: Mapping[str, Any], field: str) -> None:
    """That parameters of an extractor are of those that requests may set, and not beyond use.

    Raises:
        InputError: naming the parameter.
    """
    if not parameters:
        return
    known = None if condition is None else conditions.find(condition)
    if known is None:
        raise InputError("the network does not say which condition it follows, so nothing can be set", field=field)
    allowed = open_parameters(known.name)["properties"]
    for name, value in parameters.items():
        if name not in allowed:
            listed = ", ".join(allowed) or "none"
            raise InputError(f"{condition}: there is no parameter {name!r:.40}; expected {listed}", field=f"{field}.{name}")
        if isinstance(value, int | float) and not abs(value) <= LARGEST_NUMBER:
            raise InputError(f"{name} is {value:g}; expected {LARGEST_NUMBER} at most", field=f"{field}.{name}")
