"""Inception's features as FID and KID use them, with the resizer of whichever program's figures are to be compared."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from zeroconv.checkpoints import read_safetensors
from zeroconv.errors import InputError
from zeroconv.evaluation.features.extractor import Rows, require_pictures
from zeroconv.evaluation.features.inception_network import FEATURES, InceptionV3
from zeroconv.evaluation.features.resizing import find_resizer
from zeroconv.evaluation.features.weights import find_file, hash_all

__all__ = ["InceptionExtractor", "open_inception"]

VARIABLE = "ZEROCONV_INCEPTION"
ADVICE = (
    "pt_inception-2015-12-05-6726825d.pth of github.com/mseitzer/pytorch-fid, turned into safetensors by "
    "`zeroconv convert FILE.pth inception.safetensors --to safetensors`"
)
AT_ONCE = 16  # pictures


@dataclass(frozen=True, eq=False)
class InceptionExtractor:
    """The 2,048 features of Inception's last pool; see `FeatureExtractor`.

    Attributes:
        network: the network.
        resizer: one of `RESIZERS`.
        weights: as they were called.
        sha256: of their file.
    """

    network: InceptionV3
    resizer: str
    weights: str
    sha256: str

    @property
    def name(self) -> str:
        """Of the features."""
        return "inception-v3-fid"

    @property
    def dimension(self) -> int:
        """2,048."""
        return FEATURES

    @torch.inference_mode()
    def extract(self, images: Sequence[Image.Image]) -> Rows:
        """Features of pictures of any sizes: (N, 2048) float32.

        Raises:
            InputError: when there are no pictures.
        """
        require_pictures(images)
        resize, device = find_resizer(self.resizer), next(self.network.parameters()).device
        groups = (images[first : first + AT_ONCE] for first in range(0, len(images), AT_ONCE))
        found = [self.network(torch.stack([resize(image) for image in group]).to(device)).cpu() for group in groups]
        return torch.cat(found).numpy()


def open_inception(
    weights: str | Path | None = None, *, resizer: str = "pytorch-fid", device: str = "cpu"
) -> InceptionExtractor:
    """FID's Inception with the weights of a file.

    Args:
        weights: a .safetensors file in the public names, or "owner/name[@revision]" with one; if left out, the environment
            variable ZEROCONV_INCEPTION names it.
        resizer: one of `RESIZERS`: "pytorch-fid", "tensorflow" (the authors' own) or "clean-fid".
        device: such as "cpu" or "cuda".

    Raises:
        FileNotFoundError: when there are no weights.
        InputError: for a pickle, an unknown resizer, or a device that is not there.
        ValueError: when the file is another network's.
    """
    find_resizer(resizer)
    given = weights or os.environ.get(VARIABLE)
    if not given:
        raise FileNotFoundError(f"Inception needs its weights: give weights=FILE, or set {VARIABLE} to it; {ADVICE}")
    path = find_file(given, "Inception")
    network = InceptionV3.from_tensors(read_safetensors(path), str(path))
    try:
        network.to(device)
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        raise InputError(f"Inception cannot run on {device!r}: {str(error).splitlines()[0]}", field="device") from error
    from zeroconv.checkpoints.hub.download import pinned_name

    return InceptionExtractor(network, resizer, pinned_name(given, path), hash_all([path]))
