"""How published figures bring pictures to a network's size: each way has a name, because each gives other figures.

G. Parmar, R. Zhang, J.-Y. Zhu, "On aliased resizing and surprising subtleties in GAN evaluation", 2022,
https://arxiv.org/abs/2104.11222, has measured by how much.
"""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from zeroconv.errors import InputError
from zeroconv.images import as_rgb, to_tensor

__all__ = ["INCEPTION_SIDE", "RESIZERS", "InceptionResizer", "clip_crop", "find_resizer"]

InceptionResizer = Literal["pytorch-fid", "tensorflow", "clean-fid"]
INCEPTION_SIDE = 299  # pixels


def resize_as_pytorch_fid(image: Image.Image) -> Tensor:
    """Bilinear between pixel centres, not smoothed when it gets smaller, `2 x - 1`: (3, 299, 299) in [-1, 1]."""
    side = (INCEPTION_SIDE, INCEPTION_SIDE)
    return 2 * F.interpolate(to_tensor(image)[None], size=side, mode="bilinear", align_corners=False)[0] - 1


def resize_as_tensorflow(image: Image.Image) -> Tensor:
    """As the authors of FID: bilinear between the pixels' corners, not smoothed, `(x - 128) / 128`: (3, 299, 299).

    TensorFlow 1 places pixel i of the result at `i h / 299`, which moves the picture by up to half a pixel.
    """
    pixels = torch.from_numpy(np.array(as_rgb(image))).permute(2, 0, 1).float()  # (3, H, W) in 0 … 255
    for axis in (1, 2):
        count = pixels.shape[axis]
        places = torch.arange(INCEPTION_SIDE, dtype=torch.float32) * (count / INCEPTION_SIDE)
        low = places.long().clamp(max=count - 1)
        shape = (-1, 1) if axis == 1 else (1, -1)
        share = (places - low).view(shape)
        below, above = (pixels.index_select(axis, index) for index in (low, (low + 1).clamp(max=count - 1)))
        pixels = below + (above - below) * share
    return (pixels - 128) / 128


def resize_as_clean_fid(image: Image.Image) -> Tensor:
    """Bicubic, smoothed when it gets smaller, each channel in floating point, `(x - 128) / 128`: (3, 299, 299)."""
    side = (INCEPTION_SIDE, INCEPTION_SIDE)
    channels = (Image.fromarray(np.asarray(one, np.float32)) for one in as_rgb(image).split())
    resized = [np.asarray(one.resize(side, Image.Resampling.BICUBIC)).clip(0, 255) for one in channels]
    return (torch.from_numpy(np.stack(resized)) - 128) / 128


RESIZERS: dict[InceptionResizer, Callable[[Image.Image], Tensor]] = {
    "pytorch-fid": resize_as_pytorch_fid,
    "tensorflow": resize_as_tensorflow,
    "clean-fid": resize_as_clean_fid,
}
"""From a picture of any size to Inception's input; named after the programs whose figures they give."""


def find_resizer(name: str) -> Callable[[Image.Image], Tensor]:
    """One of `RESIZERS`.

    Raises:
        InputError: for another name.
    """
    if name not in RESIZERS:
        raise InputError(f"the resizer is {name!r}; expected one of {', '.join(get_args(InceptionResizer))}", field="resizer")
    return RESIZERS[name]


def clip_crop(image: Image.Image, side: int, resample: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    """As CLIP's authors: the shorter side to `side` pixels by Pillow, then the centred square of it."""
    image = as_rgb(image)
    short = min(image.size)
    width, height = (side if length == short else int(side * length / short) for length in image.size)
    left, top = (width - side) // 2, (height - side) // 2
    return image.resize((width, height), resample).crop((left, top, left + side, top + side))
