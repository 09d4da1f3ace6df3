"""Compiled networks on the disk: each under the hash of all that it was made from, verified when it is read."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zeroconv.checkpoints.files.atomic import replacing
from zeroconv.checkpoints.hub.derived_files import derived_files
from zeroconv.messages import Message, tell

__all__ = ["CompiledStore", "content_key"]

SMALL = 256 << 20
"""Bytes of weights up to which a network is stored: beyond, hashing and reading take as long as compiling."""
BOUND = 1 << 30
"""Bytes of all files together; those of the longest unused go first."""
DIGEST = hashlib.sha256().digest_size


def content_key(tensors: Mapping[str, Tensor], rest: Sequence[Any]) -> str:
    """A name for what is compiled: SHA-256 over every weight and everything else that decides about the result.

    Args:
        tensors: weights, by name.
        rest: with a `repr` that says all about them.
    """
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    found = hashlib.sha256(repr((sources, *rest)).encode())
    for name, tensor in sorted(tensors.items()):
        held = tensor.detach().contiguous()
        found.update(repr((name, held.dtype, tuple(held.shape))).encode())
        found.update(held.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


class CompiledStore:
    """A folder of files: a SHA-256, and the bytes that have it.

    Args:
        folder: made when something is stored; that of the hub's derived files if left out.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = derived_files("openvino") if folder is None else folder

    def read(self, key: str) -> bytes | None:
        """What is stored under a key; None when nothing is, or its bytes are not those that were written."""
        path = self.folder / key
        try:
            found = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(found[DIGEST:]).digest() != found[:DIGEST]:
            self.forget(key)
            return None
        with suppress(OSError):
            os.utime(path)
        return found[DIGEST:]

    def write(self, key: str, content: bytes) -> None:
        """Store something, whole or not at all; where that fails, it is said, and nothing else is amiss."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self.folder / key) as part:
                part.write_bytes(hashlib.sha256(content).digest() + content)
            self.trim()
        except OSError as error:
            tell(Message(f"a compiled network is not stored for the next time: {error}", "runtime.store", "info"))

    def forget(self, key: str) -> None:
        """Take something out."""
        with suppress(OSError):
            (self.folder / key).unlink()

    def trim(self) -> None:
        """Take out the longest unused until all fit."""
        files = [(path, path.stat()) for path in self.folder.iterdir() if path.is_file()]
        total = sum(found.st_size for _, found in files)
        for path, found in sorted(files, key=lambda one: one[1].st_mtime):
            if total <= BOUND:
                break
            self.forget(path.name)
            total -= found.st_size
