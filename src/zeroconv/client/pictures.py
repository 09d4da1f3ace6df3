"""Pictures of requests as text that holds them, whatever they are given as, and pictures of answers."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from zeroconv.data_uri import PNG_URI, encode_png, is_data_uri
from zeroconv.errors import name_field
from zeroconv.images import decode

__all__ = ["PICTURE", "Source", "embed", "embed_pictures", "open_png", "read_file"]

PICTURE = "picture:"
PICTURE_FIELDS = ("init_image", "mask_image")
CONTROL_PICTURES = ("image", "condition", "mask")

Source = Image.Image | Path | str
"""A picture: in memory, a file, a `data:` URI, or "picture:ID" of one that the server keeps."""


def embed_pictures(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a request with every picture inside."""
    found = {
        name: embed(value, name) if name in PICTURE_FIELDS and value is not None else value for name, value in values.items()
    }
    controls = [dict(control) for control in found.get("controls", ())]
    for index, control in enumerate(controls):
        place = f"controls.{index}"
        for name in CONTROL_PICTURES:
            if control.get(name) is not None:
                control[name] = embed(control[name], f"{place}.{name}")
        if control.get("maps"):
            maps: Mapping[str, Any] = control["maps"]
            control["maps"] = {name: value and embed(value, f"{place}.maps.{name}") for name, value in maps.items()}
    return {**found, **({"controls": controls} if controls else {})}


def embed(image: Source, field: str) -> str:
    """A picture as a `data:` URI, or as "picture:ID" where it is that.

    Raises:
        InputError: it is no picture, or a file that cannot be read.
    """
    if isinstance(image, Image.Image):
        return encode_png(image)
    if isinstance(image, str) and (is_data_uri(image) or image.startswith(PICTURE)):
        return image
    return PNG_URI + base64.b64encode(read_file(Path(image), field)).decode("ascii")


def read_file(path: Path, field: str) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it cannot be read.
    """
    with name_field(field):
        return path.read_bytes()


def open_png(content: bytes) -> Image.Image:
    """A picture from the server."""
    return decode(PNG_URI + base64.b64encode(content).decode("ascii"))
