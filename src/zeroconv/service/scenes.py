"""What is rendered: a stage as a picture and as exact maps."""

import base64
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from zeroconv.data.world_pairs import truth
from zeroconv.errors import InputError, name_field, under_field
from zeroconv.service.pictures import PictureStore, png_bytes
from zeroconv.world.staging import StageDescription, StagePicture, photograph

__all__ = ["LARGEST_PREVIEW", "NOTHING", "render_scene"]

LARGEST_PREVIEW = 256
"""Pixels of a preview's longer side: it travels within the answer."""
NOTHING = 255
"""Where a preview shows none of the stage's things."""


def render_scene(store: PictureStore, values: dict[str, Any]) -> dict[str, Any]:
    """The picture of a stage and its maps.

    Args:
        store: where they go, unless it is a preview.
        values: stage, width, height, conditions (names), and preview: whether pictures are answered as `data:` URIs and not
            kept.

    Raises:
        InputError: something on the stage cannot be used, or a condition has no map without a drawing.
    """
    begun = time.perf_counter()
    with under_field("stage"):
        stage = StageDescription.model_validate(values["stage"])
        found = photograph(stage, values["width"], values["height"])
    maps = {name: map_of(found, name, index) for index, name in enumerate(values["conditions"])}
    keep: Callable[[Image.Image], str] = data_uri if values["preview"] else lambda image: store.add_image(image).id
    answer: dict[str, Any] = {
        "picture": keep(Image.fromarray(found.rgb)),
        "maps": {name: keep(image) for name, image in maps.items()},
        "seen": data_uri(Image.fromarray(seen_pixels(found))) if values["preview"] else None,
        "things": [
            {"words": one.words, "half": one.half, "offset": one.offset, "height": one.height} for one in found.things
        ],
        "caption": found.caption,
        "kind": found.kind,
    }  # fmt: skip
    return {**answer, "milliseconds": round(1000 * (time.perf_counter() - begun), 1)}


def map_of(picture: StagePicture, condition: str, index: int) -> Image.Image:
    """The exact map of a condition.

    Raises:
        InputError: it has none.
    """
    with name_field(f"conditions.{index}"):
        if condition == "inpaint":
            raise InputError("inpaint fills a hole, and only you know where")
        return truth(picture, condition)


def seen_pixels(picture: StagePicture) -> np.ndarray:
    """(H, W) uint8: the index of the thing that is seen, or `NOTHING`."""
    return np.where(picture.seen < 0, NOTHING, picture.seen).astype(np.uint8)


def data_uri(image: Image.Image) -> str:
    """A picture within a text."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode("ascii")
