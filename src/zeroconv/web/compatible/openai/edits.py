"""The form of `/v1/images/edits`: a picture, a mask whose transparent pixels are painted anew, and fields as texts."""

import base64
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from PIL import Image

from zeroconv.data_uri import PNG_URI, encode_png
from zeroconv.errors import InputError, name_field
from zeroconv.generation import GenerationRequest
from zeroconv.images import decode
from zeroconv.web.api.decoding import in_turn
from zeroconv.web.guard import STRUCTURE

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["read_edit"]

FIELDS = 100  # of a form
VALUES = 10_000  # brackets and commas in its texts, which are read as JSON: nobody else is answered meanwhile
PICTURES = ("image", "image[]")
NUMBERS = ("n", "output_compression", "partial_images")
TEXTS = ("prompt", "negative_prompt", "sampler", "weighting", "resize", "control", "size")
"""Fields of ours that are texts; all others are JSON."""


async def read_edit(request: "Request", longest: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a form, and what is started from.

    Args:
        request: with the form.
        longest: side of a picture, in pixels, where no size is asked for.

    Raises:
        InputError: it is damaged, has no picture, or one that cannot be read.
    """
    values, files = dict[str, Any](), dict[str, bytes]()
    try:
        async with request.form(max_files=4, max_fields=FIELDS, max_part_size=2**25) as form:
            check_values(value for _, value in form.multi_items() if isinstance(value, str))
            for name, value in form.multi_items():
                key = "image" if name in PICTURES else name
                if not isinstance(value, str):
                    if key not in ("image", "mask") or key in files:
                        said = f"{key[:60]} is a file too many; expected one image and perhaps a mask"
                        raise InputError(said, field=key[:60])
                    files[key] = await value.read()
                else:
                    values[key] = read_value(key, value)
    except Exception as error:
        if getattr(error, "status_code", None) != 400:  # of Starlette, which FastAPI stands on
            raise
        raise InputError(f"the form is damaged: {getattr(error, 'detail', '')}") from error
    if "image" not in files:
        raise InputError("image is missing", field="image")
    return values, await in_turn(request, start, files["image"], files.get("mask"), longest)


def check_values(texts: Iterable[str]) -> None:
    """That the texts of a form hold few values of JSON, however many bytes they have.

    Raises:
        InputError: they hold too many.
    """
    if sum(text.count(mark) for text in texts for mark in STRUCTURE) > VALUES:
        raise InputError(f"the fields of the form hold too many values; expected {VALUES:,} at most")


def read_value(name: str, text: str) -> Any:
    """A field of a form.

    Raises:
        InputError: a number or another value of ours is no JSON.
    """
    if name in TEXTS or (name not in GenerationRequest.model_fields and name not in (*NUMBERS, "stream")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is {text!r:.60}; expected a number or another value of JSON", field=name) from error


def start(picture: bytes, mask: bytes | None, longest: int) -> dict[str, Any]:
    """`init_image`, and `mask_image` where something is transparent; `size` is the picture's, as near as can be made.

    Without a mask the picture's own transparency is it; without that all of the picture changes, by the usual strength.

    Args:
        picture: a PNG, JPEG or WebP.
        mask: one too, of the same size.
        longest: side that can be made.

    Raises:
        InputError: they cannot be read, or nothing in the mask is transparent.
    """
    image = open_sent(picture, "image")
    seen, name = (image, "image") if mask is None else (open_sent(mask, "mask"), "mask")
    if seen.size != image.size:
        said = f"mask is {seen.width}x{seen.height} pixels, image {image.width}x{image.height}; expected the same"
        raise InputError(said, field="mask")
    found: dict[str, Any] = {"init_image": uri_of(picture), "size": nearest_size(image.size, longest), "resize": "crop"}
    if not seen.has_transparency_data:
        if mask is None:
            return found
        raise InputError("mask is nowhere transparent: nothing is painted anew", field=name)
    hole = seen.convert("RGBA").getchannel("A").point(lambda level: 255 - level)
    if hole.getbbox() is None and mask is None:
        return found
    if hole.getbbox() is None:
        raise InputError("mask is nowhere transparent: nothing is painted anew", field=name)
    return {**found, "mask_image": encode_png(hole), "strength": 1.0}


def nearest_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height in multiples of 8 that are nearest to a picture's, and no longer than can be made."""
    scale = min(1.0, longest / max(size))
    width, height = (max(8, 8 * round(side * scale / 8)) for side in size)
    return width, height


def uri_of(content: bytes) -> str:
    """Bytes of a picture as a `data:` URI."""
    return PNG_URI + base64.b64encode(content).decode("ascii")


def open_sent(content: bytes, field: str) -> Image.Image:
    """A picture that was sent.

    Raises:
        InputError: it cannot be read.
    """
    with name_field(field):
        return decode(uri_of(content))
