"""Latents and prompt encodings, computed when a sample is first seen and kept on disk (float16) for the next time."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.data import Pair
from zeroconv.images import normalize, to_tensor
from zeroconv.stable_diffusion import PromptEncoding, StableDiffusion

__all__ = ["LatentCache"]

VERSION = 2  # rows are keyed by what they were computed from; caches of version 1, keyed by names, are filled anew
DIGEST_BYTES = 16


class LatentCache:
    """Arrays in a folder, one row per sample.

    A row is computed when its sample is first asked for, and again when the sample's pixels or caption are no longer
    those it was computed from. The folder is emptied when the encoders, the number of samples or the picture size change.

    Args:
        folder: where the arrays lie.
        base: encodes pictures and prompts.
        count: samples in the data set.
        size: width and height of the pictures in pixels.
    """

    def __init__(self, folder: Path, base: StableDiffusion, count: int, size: tuple[int, int]) -> None:
        self.base = base
        empty = base.encode_text([""])
        key = encoder_fingerprint(base, empty, count, size)
        if folder.exists() and read_key(folder) != key:
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        pooled = empty.pooled
        self.latents = open_rows(folder / "latents.npy", (count, *base.latent_shape(*size)))
        self.text = open_rows(folder / "text.npy", (count, *empty.hidden_states.shape[1:]))
        self.pooled = None if pooled is None else open_rows(folder / "pooled.npy", (count, *pooled.shape[1:]))
        self.digests = open_rows(folder / "digests.npy", (count, DIGEST_BYTES), np.uint8)
        write_text(folder / "key.json", json.dumps({"key": key}))  # last: without it the arrays are made anew

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which rows hold a sample, (count,)."""
        return self.digests.any(axis=1)

    def read(self, indices: Sequence[int], pairs: Sequence[Pair]) -> tuple[Tensor, PromptEncoding]:
        """Latents (B, C, h, w) and encoded prompts, float32, on the CPU.

        Args:
            indices: rows of the samples.
            pairs: the samples themselves, by which a row is recognised or computed.
        """
        digests = [digest(pair) for pair in pairs]
        stale = [i for i, index in enumerate(indices) if not np.array_equal(self.digests[index], digests[i])]
        if stale:
            self.fill([indices[i] for i in stale], [pairs[i] for i in stale], [digests[i] for i in stale])
        latents, states = (torch.from_numpy(array[list(indices)]).float() for array in (self.latents, self.text))
        if self.pooled is None:
            return latents, PromptEncoding(states)
        return latents, PromptEncoding(states, torch.from_numpy(self.pooled[list(indices)]).float())

    def fill(self, indices: Sequence[int], pairs: Sequence[Pair], digests: Sequence[NDArray[np.uint8]]) -> None:
        """Encode pairs and keep them, a row's digest after its contents."""
        images = normalize(torch.stack([to_tensor(pair.image) for pair in pairs]))
        latents = to_numpy(self.base.encode_images(images))
        text = self.base.encode_text([pair.caption for pair in pairs])
        states, pooled = to_numpy(text.hidden_states), None if text.pooled is None else to_numpy(text.pooled)
        for row, index in enumerate(indices):
            self.digests[index] = 0
            self.latents[index], self.text[index] = latents[row], states[row]
            if self.pooled is not None and pooled is not None:
                self.pooled[index] = pooled[row]
        for array in (self.latents, self.text, self.pooled):
            if array is not None:
                array.flush()  # on the disk before the digests vouch for it
        for index, found in zip(indices, digests, strict=True):
            self.digests[index] = found
        self.digests.flush()


def digest(pair: Pair) -> NDArray[np.uint8]:
    """What a row is computed from, the pixels and the caption, as 16 bytes that are not all zero."""
    image = pair.image.convert("RGB")
    content = hashlib.blake2b(json.dumps([image.size, pair.caption]).encode(), digest_size=DIGEST_BYTES)
    content.update(image.tobytes())
    return np.frombuffer(content.digest(), np.uint8)


def to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    """A tensor's numbers."""
    return tensor.float().cpu().numpy()


def open_rows(path: Path, shape: tuple[int, ...], kind: Any = np.float16) -> Any:
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


def encoder_fingerprint(base: StableDiffusion, empty: PromptEncoding, count: int, size: tuple[int, int]) -> str:
    """SHA-256 over the encoders' weights, the shapes and meaning of the empty prompt, the row count and the picture size."""
    shapes = [
        list(empty.hidden_states.shape),
        None if empty.pooled is None else list(empty.pooled.shape),
        base.force_zeros_for_empty_prompt,
    ]
    found = hashlib.sha256(json.dumps([VERSION, count, list(size), shapes]).encode())
    for network in base.networks[1:]:
        for name, tensor in network.state_dict().items():
            found.update(name.encode())
            found.update(tensor.detach().cpu().float().numpy().tobytes())
    return found.hexdigest()
