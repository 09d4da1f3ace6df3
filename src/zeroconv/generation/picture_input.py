"""Pictures as users hand them over: masks of every kind, and in Python Pillow images, paths, arrays."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zeroconv.data_uri import picture_name
from zeroconv.errors import InputError
from zeroconv.images import BLACK, decode, flatten, has_shape
from zeroconv.messages import Message, tell

__all__ = ["open_mask", "read_mask", "to_picture"]

EXPECTED = "expected a Pillow image, a path, or an array (H, W) or (H, W, 3 or 4)"


def to_picture(value: Any, opener: Callable[[str], Image.Image], field: str) -> Image.Image:
    """A picture from a Pillow image, a path, or an array.

    Args:
        value: an image as it is; a path or `data:` URI; or an array or tensor (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or in
            torch's order (3, H, W), of uint8, of bool, or of floats in [0, 1].
        opener: opens paths.
        field: what errors are about.

    Raises:
        InputError: when it is none of these, or its numbers are out of range.
        FileNotFoundError: when there is no such file.
    """
    if isinstance(value, Image.Image):
        return value
    if isinstance(value, str | os.PathLike):
        return opener(os.fspath(value))
    try:
        array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    except Exception as error:  # whatever it is made of has errors of its own
        raise InputError(f"{field} is a {type(value).__name__}; {EXPECTED}", field=field) from error
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):  # torch's order
        array = np.moveaxis(array, 0, 2)
    array = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or array.dtype.kind not in "buif" or not array.size:
        got = f"a {type(value).__name__} of shape {array.shape} and type {array.dtype}"
        raise InputError(f"{field} is {got}; {EXPECTED}", field=field)
    image = Image.fromarray(to_8bit(array, field))
    return image if image.mode == "RGBA" or field == "mask" else image.convert("RGB")


def to_8bit(array: NDArray[Any], field: str) -> NDArray[np.uint8]:
    """Numbers in [0, 1], in 0 … 255, or yes and no, as 0 … 255.

    Raises:
        InputError: when they are out of range.
    """
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    most, scale = (1, 255) if array.dtype.kind == "f" else (255, 1)
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= most):
        kind = "floats" if most == 1 else "whole numbers"
        raise InputError(f"{field} has numbers {array.min():g} … {array.max():g}; {kind} belong in 0 … {most}", field=field)
    return np.ascontiguousarray((array * scale).round().astype(np.uint8))


def open_mask(path: str | os.PathLike[str]) -> Image.Image:
    """Open a mask as 8-bit grey, see `read_mask`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `open_image`.
    """
    return read_mask(decode(path), picture_name(path))


def read_mask(image: Image.Image, name: str) -> Image.Image:
    """A mask as 8-bit grey, white = yes; where only its transparency has a shape, that is the mask.

    A mask of zeros and ones is brought to black and white. Both are told.

    Args:
        image: of any mode.
        name: for the messages.
    """
    mask = np.asarray(flatten(image, BLACK).convert("L"))
    if not mask.any() and image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if has_shape(alpha):
            said = f"{name} is black and has its shape in its transparency: what is opaque counts as white"
            tell(Message(said, "mask.alpha"))
            return alpha
    if mask.max() == 1:
        tell(Message(f"{name} has the values 0 and 1 alone: 1 counts as white", "mask.scaled"))
        mask = mask * np.uint8(255)
    return Image.fromarray(mask)
