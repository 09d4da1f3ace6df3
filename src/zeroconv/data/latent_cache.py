"""Latents and prompt encodings, computed when a sample is first seen and kept on disk (float16) for the next time."""

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.data import Pair
from zeroconv.images import normalize, to_tensor
from zeroconv.stable_diffusion import PromptEncoding, StableDiffusion
from zeroconv.stable_diffusion.broken_weights import broken_part

__all__ = ["LatentCache"]

VERSION = 3  # caches of older versions are filled anew: rows of 1 were keyed by names, those of 2 encoded in groups
DIGESTS, DIGEST_BYTES = "digests", 16
SPARE = 2**20  # bytes that a full cache leaves free on its disk


class LatentCache:
    """Arrays in a folder, one row per sample.

    A row is computed when its sample is first asked for, and again when the sample's pixels or caption are no longer
    those it was computed from, or the row is no longer what was written. Each row is computed by itself, so that its bits
    do not depend on its neighbours in a batch. The folder is emptied when the encoders, the number of samples or the
    picture size change. Processes that open it together share it.

    Args:
        folder: where the arrays lie.
        base: encodes pictures and prompts.
        count: samples in the data set.
        size: width and height of the pictures in pixels.
        captions: how many captions a sample has at most.
        views: rows of latents for each sample, one for each part of its picture that is seen; those parts may be of any size of
            no more pixels than `size`. None for one row, of the whole picture.

    Raises:
        OSError: when the disk has no room for all rows.
    """

    def __init__(
        self,
        folder: Path,
        base: StableDiffusion,
        count: int,
        size: tuple[int, int],
        captions: int = 1,
        views: int | None = None,
    ) -> None:
        self.base, self.captions, texts = base, captions, count * captions
        empty, latent_shape = base.encode_text([""]), base.latent_shape(*size)
        rows, row_shape = (count, latent_shape) if views is None else (count * views, (prod(latent_shape),))
        shapes = {"latents": (rows, *row_shape), "text": (texts, *empty.hidden_states.shape[1:])}
        if empty.pooled is not None:
            shapes["pooled"] = (texts, *empty.pooled.shape[1:])
        # of a sample's pixels, of its captions, and of the bytes that stand in both rows
        shapes |= {DIGESTS: (rows, 2 * DIGEST_BYTES), f"text-{DIGESTS}": (texts, 2 * DIGEST_BYTES)}
        prepare_folder(folder, encoder_fingerprint(base, empty, count, size), shapes)
        self.latents, self.text = open_rows(folder, "latents"), open_rows(folder, "text")
        self.pooled = None if empty.pooled is None else open_rows(folder, "pooled")
        self.digests, self.text_digests = open_rows(folder, DIGESTS), open_rows(folder, f"text-{DIGESTS}")

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which rows hold a sample, (count,)."""
        return self.digests.any(axis=1)

    def read(
        self, indices: Sequence[int], pairs: Sequence[Pair], views: Sequence[int] | None = None
    ) -> tuple[Tensor, PromptEncoding]:
        """Latents (B, C, h, w) and encoded prompts, float32, on the CPU.

        Args:
            indices: of the samples.
            pairs: the samples themselves, of one size, by which a row is recognised or computed.
            views: the rows of latents, where a sample has several; those of the samples if left out.
        """
        views = indices if views is None else views
        texts = [index * self.captions + pair.caption_index for index, pair in zip(indices, pairs, strict=True)]
        rows = dict[tuple[int, bool], Row]()
        for view, text, pair in zip(views, texts, pairs, strict=True):
            rows[view, False] = Row(self.digests, view, digest_image(pair.image), [self.latents], pair)
            arrays = [self.text] if self.pooled is None else [self.text, self.pooled]
            rows[text, True] = Row(self.text_digests, text, digest_text(pair.caption), arrays, pair)
        self.fill([row for row in rows.values() if not row.is_intact()])
        shape = self.base.latent_shape(*pairs[0].image.size)
        kept = self.latents[list(views)].reshape(len(pairs), -1)[:, : prod(shape)].reshape(-1, *shape)
        latents, states = torch.from_numpy(kept).float(), torch.from_numpy(self.text[texts]).float()
        if self.pooled is None:
            return latents, PromptEncoding(states)
        return latents, PromptEncoding(states, torch.from_numpy(self.pooled[texts]).float())

    def fill(self, rows: Sequence["Row"]) -> None:
        """Encode rows, each by itself, and keep them, a row's digests after its contents.

        Raises:
            FloatingPointError: when the encoders give a number that is not finite in half precision.
        """
        if not rows:
            return
        for row in rows:
            row.digests[row.index] = 0
        self.flush(self.digests, self.text_digests)  # on the disk before the rows they vouch for are overwritten
        for row in rows:
            for array, values in zip(row.arrays, self.encode(row), strict=True):
                place = array[row.index].reshape(-1)
                place[: values.size], place[values.size :] = values.reshape(-1), 0
        self.flush(self.latents, self.text, self.pooled)  # on the disk before the digests vouch for them
        for row in rows:
            row.digests[row.index] = np.frombuffer(row.source + row.digest(), np.uint8)
        self.flush(self.digests, self.text_digests)

    def encode(self, row: "Row") -> list[NDArray[np.float16]]:
        """What belongs into a row's arrays."""
        if row.digests is self.digests:
            tensors = [self.base.encode_images(normalize(to_tensor(row.pair.image))[None])]
        else:
            text = self.base.encode_text([row.pair.caption])
            tensors = [text.hidden_states] if text.pooled is None else [text.hidden_states, text.pooled]
        values = [tensor[0].half().cpu().numpy() for tensor in tensors]
        if not all(np.isfinite(one).all() for one in values):
            broken = broken_part(self.base) or "the encoders give numbers that are not finite in half precision"
            raise FloatingPointError(f"pair {row.pair.name!r}: {broken}")
        return values

    def flush(self, *arrays: Any) -> None:
        """Wait until arrays are on the disk."""
        for array in arrays:
            if array is not None:
                array.flush()


@dataclass(frozen=True)
class Row:
    """A sample's row in arrays of the cache.

    Attributes:
        digests: of all rows of these arrays: what each was computed from, then what stands in it, 16 bytes each.
        index: which row.
        source: the digest of what it must be computed from.
        arrays: whose rows it is.
        pair: the sample.
    """

    digests: Any
    index: int
    source: bytes
    arrays: Sequence[Any]
    pair: Pair

    def is_intact(self) -> bool:
        """Whether it was computed from its source, and is as it was written."""
        kept = self.digests[self.index].tobytes()
        return kept[:DIGEST_BYTES] == self.source and kept[DIGEST_BYTES:] == self.digest()

    def digest(self) -> bytes:
        """What stands in it, as 16 bytes."""
        content = hashlib.blake2b(digest_size=DIGEST_BYTES)
        for array in self.arrays:
            content.update(array[self.index].tobytes())
        return content.digest()


def digest_image(image: Image.Image) -> bytes:
    """What a row of latents is computed from, the pixels, as 16 bytes."""
    image = image.convert("RGB")
    content = hashlib.blake2b(json.dumps(image.size).encode(), digest_size=DIGEST_BYTES)
    content.update(image.tobytes())
    return content.digest()


def digest_text(caption: str) -> bytes:
    """What a row of text is computed from, as 16 bytes."""
    return hashlib.blake2b(caption.encode(), digest_size=DIGEST_BYTES).digest()


def prepare_folder(folder: Path, key: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Make a cache of zeros unless there is one with this fingerprint; another one goes.

    It is made under another name and moved into its place in one step, so that no process ever sees half of one.

    Args:
        folder: of the cache.
        key: its fingerprint.
        shapes: of its arrays, by name.

    Raises:
        OSError: when the disk has no room for all of it.
    """
    while not is_whole(folder, key, shapes):
        part, old = (folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.{end}") for end in ("part", "old"))
        try:
            part.mkdir(parents=True)
            for name, shape in shapes.items():
                reserve(part / f"{name}.npy", np.uint8 if name.endswith(DIGESTS) else np.float16, shape)
            write_text(part / "key.json", json.dumps({"key": key}))
            with suppress(FileNotFoundError):
                folder.rename(old)
            move_unless_taken(old if is_whole(old, key, shapes) else part, folder)  # another process was as fast, or not
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def is_whole(folder: Path, key: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a cache has this fingerprint, and every array is there in its shape."""
    try:
        return read_key(folder) == key and all(
            np.load(folder / f"{name}.npy", mmap_mode="r").shape == shape for name, shape in shapes.items()
        )
    except (OSError, ValueError):
        return False


def reserve(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Make an array of zeros whose blocks belong to it: a disk that fills up later would kill the process without a word.

    Raises:
        OSError: when the disk has no room for it.
    """
    needed = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    try:
        if shutil.disk_usage(path.parent).free < needed + SPARE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        place = path.parent.parent
        raise OSError(f"cannot keep {needed / 2**20:,.0f} MiB of latents and texts in {place}: {error.strerror}") from error


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
