"""Keyed randomness: every draw belongs to (seed, sample, epoch), never to a global generator.

The same key gives the same numbers whatever the batch size, the worker count, the world size or the device,
because they are always drawn on the CPU and moved afterwards.
"""

import hashlib

import torch
from torch import Tensor

__all__ = ["generator", "keyed_noise"]


def generator(seed: int, *key: int | str) -> torch.Generator:
    """A fresh CPU generator that belongs to `(seed, *key)`.

    The key is hashed with SHA-256, so neighbouring keys give unrelated streams.

    Args:
        seed: any integer.
        key: what the draw is for, such as `(sample, epoch, "noise")`; integers or words.
    """
    text = ":".join(encode_part(part) for part in (seed, *key))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True)
    return torch.Generator().manual_seed(number)


def encode_part(part: int | str) -> str:
    """One part of a key so that no two keys are spelled alike: words and numbers differ, and so does ("a", "b") from "a:b"."""
    if isinstance(part, str):
        return "str=" + part.replace("\\", "\\\\").replace(":", "\\:")
    return f"int={int(part)}"


def keyed_noise(shape: tuple[int, ...], seed: int, *key: int | str) -> Tensor:
    """Standard normal noise of `shape`, float32 on the CPU, that belongs to `(seed, *key)`."""
    return torch.randn(shape, generator=generator(seed, *key))
