"""Latents and prompt encodings, computed when a sample is first seen and kept on disk (float16) for the next time."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
DIGESTS, DIGEST_BYTES = "digests", 16


class LatentCache:
    """Arrays in a folder, one row per sample.

    A row is computed when its sample is first asked for, and again when the sample's pixels or caption are no longer
    those it was computed from. The folder is emptied when the encoders, the number of samples or the picture size change.
    Processes that open it together share it.

    Args:
        folder: where the arrays lie.
        base: encodes pictures and prompts.
        count: samples in the data set.
        size: width and height of the pictures in pixels.
    """

    def __init__(self, folder: Path, base: StableDiffusion, count: int, size: tuple[int, int]) -> None:
        self.base = base
        empty = base.encode_text([""])
        shapes = {"latents": (count, *base.latent_shape(*size)), "text": (count, *empty.hidden_states.shape[1:])}
        if empty.pooled is not None:
            shapes["pooled"] = (count, *empty.pooled.shape[1:])
        prepare_folder(folder, encoder_fingerprint(base, empty, count, size), shapes | {DIGESTS: (count, DIGEST_BYTES)})
        self.latents, self.text = open_rows(folder, "latents"), open_rows(folder, "text")
        self.pooled = None if empty.pooled is None else open_rows(folder, "pooled")
        self.digests = open_rows(folder, DIGESTS)

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
        self.digests[list(indices)] = 0
        self.digests.flush()  # on the disk before the rows they vouch for are overwritten
        for row, index in enumerate(indices):
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


def prepare_folder(folder: Path, key: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Make a cache of zeros unless there is one with this fingerprint; another one goes.

    It is made under another name and moved into its place in one step, so that no process ever sees half of one.

    Args:
        folder: of the cache.
        key: its fingerprint.
        shapes: of its arrays, by name.
    """
    while read_key(folder) != key:
        part, old = (folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.{end}") for end in ("part", "old"))
        try:
            part.mkdir(parents=True)
            for name, shape in shapes.items():
                open_memmap(part / f"{name}.npy", mode="w+", dtype=np.uint8 if name == DIGESTS else np.float16, shape=shape)
            write_text(part / "key.json", json.dumps({"key": key}))
            with suppress(FileNotFoundError):
                folder.rename(old)
            move_unless_taken(old if read_key(old) == key else part, folder)  # another process was as fast, or not
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def move_unless_taken(source: Path, folder: Path) -> None:
    """Rename a folder, unless another process has put one there meanwhile."""
    try:
        source.rename(folder)
    except OSError:
        if not folder.exists():
            raise


def open_rows(folder: Path, name: str) -> Any:
    """An array of a cache, for reading and writing."""
    return open_memmap(folder / f"{name}.npy", mode="r+")


def read_key(folder: Path) -> str | None:
    """The fingerprint a cache was made with, if it can be read."""
    try:
        return json.loads((folder / "key.json").read_text("utf-8"))["key"]
    except (OSError, KeyError, TypeError, ValueError):
        return None


def encoder_fingerprint(base: StableDiffusion, empty: PromptEncoding, count: int, size: tuple[int, int]) -> str:
    """SHA-256 over all that rows depend on beside their samples, and over their number.

    These are the encoders' weights, the scale of the latents, the tokenizers, the shapes and the meaning of the empty
    prompt, and the picture size.
    """
    shapes = [
        list(empty.hidden_states.shape),
        None if empty.pooled is None else list(empty.pooled.shape),
        base.force_zeros_for_empty_prompt,
    ]
    scale = [base.vae.config.get(name) for name in ("scaling_factor", "shift_factor")]
    tokenizers = [describe_tokenizer(one) for one in (base.tokenizer, base.tokenizer_2) if one is not None]
    found = hashlib.sha256(json.dumps([VERSION, count, list(size), shapes, scale, tokenizers]).encode())
    for network in base.networks[1:]:
        for name, tensor in network.state_dict().items():
            found.update(name.encode())
            found.update(tensor.detach().cpu().float().numpy().tobytes())
    return found.hexdigest()


def describe_tokenizer(tokenizer: Any) -> list[Any]:
    """All that decides which tokens a prompt becomes; the padding and cutting of the last call are left out."""
    form = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    return [form, tokenizer.pad_token, tokenizer.model_max_length]
