"""A segmentation map as planes of classes, for networks that are trained on nothing but the tiny world."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zeroconv.conditions.networks.annotator import CLASSES
from zeroconv.conditions.segmentation import read_classes

__all__ = ["PLANES", "planes_of_classes", "planes_of_maps"]

PLANES = len(CLASSES) + 1
"""One for each class of the tiny world, and one for all others."""
PLACES = np.full(256, len(CLASSES))
PLACES[list(CLASSES)] = range(len(CLASSES))


def planes_of_classes(classes: NDArray[Any]) -> Tensor:
    """Planes (B, 32, H / 2, W / 2), 1 where every second pixel is of the class, of ADE20K classes (B, H, W)."""
    places = torch.from_numpy(PLACES[np.asarray(classes)[:, ::2, ::2]])
    return functional.one_hot(places, PLANES).permute(0, 3, 1, 2).float().contiguous()


def planes_of_maps(maps: Sequence[Image.Image]) -> Tensor:
    """The same of maps in the colours of ADE20K."""
    return planes_of_classes(np.stack([read_classes(image) for image in maps]))
