"""Pictures of the documents as WebP: exact where that is smaller, and otherwise good."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from zeroconv.checkpoints.files.atomic import replacing

__all__ = ["write_webp"]

GOOD, STEP = 90, 5
"""WebP's quality, of 100, and how far it goes down at a time."""


def write_webp(image: Image.Image, path: Path, most: int | None = None) -> Path:
    """Write a picture, lossless if that takes no more bytes than a quality of 90.

    Args:
        image: the picture, without transparency.
        path: of the file, which is replaced.
        most: bytes, for which the quality goes down as far as it must.

    Returns:
        The path.
    """
    image = image.convert("RGB")
    content, quality = min(encode(image, lossless=True, quality=100), encode(image, quality=GOOD), key=len), GOOD
    while most is not None and len(content) > most and quality > STEP:
        quality -= STEP
        content = encode(image, quality=quality)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_bytes(content)
    return path


def encode(image: Image.Image, **options: Any) -> bytes:
    """The bytes of a WebP."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", method=6, **options)
    return buffer.getvalue()
