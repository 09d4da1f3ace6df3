"""What is read from pictures: the map of one, what looks wrong about a map, the request that a saved one carries."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from zeroconv import conditions
from zeroconv.conditions.condition import Condition
from zeroconv.data_uri import is_data_uri
from zeroconv.errors import InputError, name_field
from zeroconv.generation import GenerationRequest
from zeroconv.generation.png_metadata import PictureMetadata
from zeroconv.images import open_image, read_settings
from zeroconv.messages import Message, listen
from zeroconv.service.pictures import PictureStore
from zeroconv.service.requests import map_pictures, store_picture
from zeroconv.service.scenes import render_scene

__all__ = ["TASKS", "check", "extract", "recall"]

LONGEST_MAP = 2048  # pixels, where nobody asks for a size
REMEDIES = {"map.inverted": "invert", "map.channels": "swap-red-blue", "map.palette": "snap"}
"""By a message's code what a page can do about it."""


def extract(store: PictureStore, values: dict[str, Any]) -> dict[str, Any]:
    """The map of a picture.

    Args:
        store: where the picture is and the map goes.
        values: condition, image (an id), parameters, and width, height and resize for another size.

    Raises:
        InputError: when no map can be extracted.
    """
    known, begun, told = conditions.get(values["condition"]), time.perf_counter(), list[Message]()
    if known.needs_mask:
        said = f"{known.name} fills a hole, and only you know where"
        raise InputError(said, field="condition", hint="draw it: transparent where the hole is")
    with listen(told.append), name_field("image"):
        with name_the_picture(store, values["image"]):
            picture = open_image(store.path(values["image"]))
        size = map_size(picture.size, values["width"], values["height"])
        with name_field("parameters"):
            image = conditions.extract_at_size(known.name, picture, size, values["resize"] or "crop", **values["parameters"])
        if sentence := known.domain_warning(values["parameters"], "method"):
            told.append(Message(sentence, "extract.domain"))
    stored = store.add_image(image)
    milliseconds = round(1000 * (time.perf_counter() - begun), 1)
    found = {"map": stored.id, "width": stored.width, "height": stored.height, "milliseconds": milliseconds}
    return {**found, "warnings": [describe(message) for message in told]}


def map_size(size: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    """Width and height of a map: as asked, else those of its picture, the longer at most `LONGEST_MAP`."""
    scale = min(1.0, LONGEST_MAP / max(size))
    own = [max(1, round(side * scale)) for side in size]
    return width or own[0], height or own[1]


def check(store: PictureStore, values: dict[str, Any]) -> dict[str, Any]:
    """What looks wrong about a map.

    Args:
        store: where the map is.
        values: condition and map (an id).

    Raises:
        InputError: when the map cannot be opened as one of its condition.
    """
    known, told = conditions.get(values["condition"]), list[Message]()
    with listen(told.append), name_field("map"), name_the_picture(store, values["map"]):
        told += known.check(open_as(known, store, values["map"]))
    return {"warnings": [describe(message) for message in told]}


def recall(store: PictureStore, values: dict[str, Any]) -> dict[str, Any]:
    """The request that a saved picture carries, its maps in the store.

    Args:
        store: where the picture is, and its maps go.
        values: picture (an id).

    Raises:
        InputError: when it carries none, or a damaged one.
    """
    path = store.path(values["picture"])
    with name_field("picture"), name_the_picture(store, values["picture"]):
        request = PictureMetadata.from_json(read_settings(path)).request
        made = map_pictures(request, lambda picture, field: keep(picture, field, store))
    bare = made.base.model_copy(update={"device": None, "dtype": None})
    plain: GenerationRequest = made.model_copy(update={"base": bare})
    return {"request": plain.model_dump(mode="json", exclude_defaults=True)}


def keep(picture: str, field: str, store: PictureStore) -> str:
    """An embedded picture by its place in the store.

    Raises:
        InputError: it is not embedded.
    """
    if not is_data_uri(picture):
        raise InputError("the settings in it are damaged: they name a picture that is not in it", field=field)
    return store_picture(picture, field, store)


@contextmanager
def name_the_picture(store: PictureStore, picture: str) -> Generator[None]:
    """Errors of what happens inside say "the picture" in place of a path of the store.

    Raises:
        InputError: in place of an error about what is in the picture.
    """
    path = str(store.path(picture))
    try:
        yield
    except KeyError as error:
        raise InputError("the settings in the picture are incomplete") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        field = error.field if isinstance(error, InputError) else None
        raise InputError(str(error).replace(path, "the picture"), field=field) from error


def open_as(known: Condition, store: PictureStore, picture: str) -> Any:
    """A map of a condition from the store."""
    return known.open_map(store.path(picture))


def describe(message: Message) -> dict[str, Any]:
    """A message with what can be done about it."""
    return {**message.to_json(), "remedy": REMEDIES.get(message.code)}


TASKS: dict[str, Callable[[PictureStore, dict[str, Any]], dict[str, Any]]] = {
    "extract": extract, "check": check, "recall": recall, "scene": render_scene,
}  # fmt: skip
"""By the name of a task what does it."""
