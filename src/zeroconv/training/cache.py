"""Latents and text states, computed at the first visit of a sample and kept on disk (float16) for the others."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from zeroconv.data import Pair
from zeroconv.images import to_signed, to_tensor
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["Cache"]


class Cache:
    """Arrays in a folder, one row per sample; a row is filled when its sample is first visited.

    The folder is emptied when the base, the data or the picture size is another than when it was made.

    Args:
        folder: where the arrays lie.
        base: encodes pictures and prompts.
        names: names of the samples, in order.
        size: width and height of the pictures in pixels.
    """

    def __init__(self, folder: Path, base: StableDiffusion, names: Sequence[str], size: tuple[int, int]) -> None:
        self.base = base
        key = fingerprint(base, names, size)
        if folder.exists() and read_key(folder) != key:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = tuple(base.encode_text([""]).shape[1:])
        self.latents = rows(folder / "latents.npy", (len(names), *base.latent_shape(*size)))
        self.text = rows(folder / "text.npy", (len(names), *text))
        self.filled = rows(folder / "filled.npy", (len(names),), np.bool_)
        (folder / "key.json").write_text(json.dumps({"key": key}), "utf-8")  # last: without it the arrays are made anew

    def read(self, samples: Sequence[int], pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
        """Latents (B, C, h, w) and text states (B, N, D), float32, on the CPU.

        Args:
            samples: their indices.
            pairs: the samples themselves, for those that are not filled yet.
        """
        missing = [i for i, sample in enumerate(samples) if not self.filled[sample]]
        if missing:
            images = to_signed(torch.stack([to_tensor(pairs[i].image) for i in missing]))
            latents = self.base.encode_images(images).cpu().numpy()
            text = self.base.encode_text([pairs[i].caption for i in missing]).cpu().numpy()
            for row, i in enumerate(missing):
                self.latents[samples[i]], self.text[samples[i]] = latents[row], text[row]
                self.filled[samples[i]] = True
        index = list(samples)
        return torch.from_numpy(self.latents[index]).float(), torch.from_numpy(self.text[index]).float()


def rows(path: Path, shape: tuple[int, ...], kind: Any = np.float16) -> Any:
    """An array in a file, made of zeros when it is not there."""
    if path.exists():
        return open_memmap(path, mode="r+")
    return open_memmap(path, mode="w+", dtype=kind, shape=shape)


def read_key(folder: Path) -> str | None:
    """The fingerprint a cache was made with, if it can be read."""
    try:
        return json.loads((folder / "key.json").read_text("utf-8"))["key"]
    except (OSError, KeyError, TypeError, ValueError):
        return None


def fingerprint(base: StableDiffusion, names: Sequence[str], size: tuple[int, int]) -> str:
    """SHA-256 over the encoder's and text encoder's weights, the sample names and the size."""
    digest = hashlib.sha256(json.dumps([list(names), list(size)]).encode())
    for network in (base.vae, base.text_encoder):
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()
