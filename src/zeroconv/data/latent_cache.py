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
from zeroconv.images import normalize, to_tensor
from zeroconv.stable_diffusion import PromptEncoding, StableDiffusion

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
        empty = base.encode_text([""])
        key = fingerprint(base, empty, names, size)
        if folder.exists() and read_key(folder) != key:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.latents = rows(folder / "latents.npy", (len(names), *base.latent_shape(*size)))
        self.text = rows(folder / "text.npy", (len(names), *empty.hidden_states.shape[1:]))
        self.pooled = None if empty.pooled is None else rows(folder / "pooled.npy", (len(names), *empty.pooled.shape[1:]))
        self.filled = rows(folder / "filled.npy", (len(names),), np.bool_)
        (folder / "key.json").write_text(json.dumps({"key": key}), "utf-8")  # last: without it the arrays are made anew

    def read(self, samples: Sequence[int], pairs: Sequence[Pair]) -> tuple[Tensor, PromptEncoding]:
        """Latents (B, C, h, w) and encoded prompts, float32, on the CPU.

        Args:
            samples: their indices.
            pairs: the samples themselves, for those that are not filled yet.
        """
        missing = [i for i, sample in enumerate(samples) if not self.filled[sample]]
        if missing:
            self.fill([samples[i] for i in missing], [pairs[i] for i in missing])
        latents, states = (torch.from_numpy(array[list(samples)]).float() for array in (self.latents, self.text))
        if self.pooled is None:
            return latents, PromptEncoding(states)
        return latents, PromptEncoding(states, torch.from_numpy(self.pooled[list(samples)]).float())

    def fill(self, samples: Sequence[int], pairs: Sequence[Pair]) -> None:
        """Encode pairs and keep them as the rows `samples`."""
        images = normalize(torch.stack([to_tensor(pair.image) for pair in pairs]))
        latents = array(self.base.encode_images(images))
        text = self.base.encode_text([pair.caption for pair in pairs])
        states, pooled = array(text.hidden_states), None if text.pooled is None else array(text.pooled)
        for row, sample in enumerate(samples):
            self.latents[sample], self.text[sample] = latents[row], states[row]
            if self.pooled is not None and pooled is not None:
                self.pooled[sample] = pooled[row]
            self.filled[sample] = True


def array(tensor: Tensor) -> Any:
    """Numbers for a row."""
    return tensor.float().cpu().numpy()


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


def fingerprint(base: StableDiffusion, empty: PromptEncoding, names: Sequence[str], size: tuple[int, int]) -> str:
    """SHA-256 over the encoders' weights, the shapes and meaning of the empty prompt, the sample names and the size."""
    shapes = [
        list(empty.hidden_states.shape),
        None if empty.pooled is None else list(empty.pooled.shape),
        base.force_zeros_for_empty_prompt,
    ]
    digest = hashlib.sha256(json.dumps([list(names), list(size), shapes]).encode())
    for network in base.networks[1:]:
        for name, tensor in network.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()
