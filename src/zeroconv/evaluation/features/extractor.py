"""What turns pictures, and prompts, into the features that metrics compare: a network with everything done before it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zeroconv.errors import InputError

__all__ = ["FeatureExtractor", "ImageTextExtractor", "require_pictures"]

Rows = NDArray[np.float32]
"""(N, D): the features of N pictures or texts."""


class FeatureExtractor(Protocol):
    """A network that describes pictures by D numbers. The same pictures have the same features, in whatever batches."""

    @property
    def name(self) -> str:
        """Of the features, such as "inception-v3-fid": figures of two names are never comparable."""
        ...

    @property
    def dimension(self) -> int:
        """D."""
        ...

    @property
    def resizer(self) -> str:
        """Name of the resizer: the same network gives other figures with another one."""
        ...

    @property
    def weights(self) -> str:
        """The weights as their user called them, with the commit if they came from the hub."""
        ...

    @property
    def sha256(self) -> str:
        """SHA-256 of the weight file; of several files, of their digests in the order of their names."""
        ...

    def extract(self, images: Sequence[Image.Image]) -> Rows:
        """Features of pictures of any sizes: (N, D) float32.

        Raises:
            InputError: when there are no pictures.
        """
        ...


class ImageTextExtractor(FeatureExtractor, Protocol):
    """One that describes texts by the same numbers: a picture and its caption have features of about one direction."""

    def extract_texts(self, texts: Sequence[str]) -> Rows:
        """Features of texts: (N, D) float32.

        Raises:
            InputError: when there are no texts.
        """
        ...


def require_pictures(images: Sequence[object], what: str = "pictures") -> None:
    """Raise an InputError when there are none."""
    if not len(images):
        raise InputError(f"there are no {what} to extract features of; expected 1 or more", field=what)
