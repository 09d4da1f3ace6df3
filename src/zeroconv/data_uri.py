"""Pictures inside text: `data:image/png;base64,…` (RFC 2397), as browsers, JSON and our own metadata carry them."""

import base64
import io
import os
from typing import TypeGuard

from PIL import Image

__all__ = ["PNG_URI", "encode_png", "is_data_uri", "picture_name", "read_data_uri"]

PNG_URI = "data:image/png;base64,"


def is_data_uri(path: object) -> TypeGuard[str]:
    """Whether a picture is in the text itself and not in a file of that name."""
    return isinstance(path, str) and path.startswith("data:")


def picture_name(path: object) -> str:
    """What a picture is called in messages."""
    return "the embedded picture" if is_data_uri(path) else str(path)


def encode_png(image: Image.Image) -> str:
    """A picture as a `data:` URI of a PNG, in its own mode."""
    buffer, bare = io.BytesIO(), image.copy()
    bare.info = {}  # a key colour would become transparency
    bare.save(buffer, "PNG")
    return PNG_URI + base64.b64encode(buffer.getvalue()).decode("ascii")


def read_data_uri(uri: str | os.PathLike[str]) -> io.BytesIO:
    """The bytes that a `data:` URI holds, as a file.

    Raises:
        ValueError: when they are no base64 text.
    """
    try:
        return io.BytesIO(base64.b64decode(str(uri).partition(";base64,")[2], validate=True))
    except ValueError as error:
        raise ValueError("the embedded picture is damaged: it is no base64 text") from error
