"""Prefixes that training programs leave before every name of a network, because it was saved inside their wrapper."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from zeroconv.checkpoints.files.safetensors import Header, read_header, read_safetensors
from zeroconv.messages import Message, tell

__all__ = ["read_published", "read_published_header", "unwrap", "wrapper_of"]

WRAPPERS = ("module.", "_orig_mod.", "_forward_module.", "controlnet.")
"""Of data-parallel training, of `torch.compile`, of DeepSpeed, and of a class that holds a ControlNet."""
BLOCKS = "controlnet.0."
"""What ControlNets of transformers call their own blocks: no wrapper."""


def wrapper_of(names: Collection[str]) -> str:
    """The prefix, of one wrapper or several, that every name has; empty where there is none."""
    found = ""
    if any(name.startswith(BLOCKS) for name in names):
        return found
    while names and (more := next((w for w in WRAPPERS if all(name.startswith(found + w) for name in names)), None)):
        found += more
    return found


def unwrap(tensors: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """The same without the prefix that all names share, which is told.

    Args:
        tensors: of a file.
        what: the file, for people.
    """
    prefix = wrapper_of(tensors.keys())
    if not prefix:
        return dict(tensors)
    said = f"{what}: every name begins with {prefix!r}, which a training program left there: it is passed over"
    tell(Message(said, "file.wrapper", "info"))
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def read_published(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by anybody: `read_safetensors`, without a wrapper's prefix."""
    return unwrap(read_safetensors(path), str(path))


def read_published_header(path: Path) -> Header:
    """The header of a safetensors file by anybody: `read_header`, without a wrapper's prefix."""
    header = read_header(path)
    prefix = wrapper_of(header.shapes.keys())
    shapes, dtypes = ({name.removeprefix(prefix): one for name, one in of.items()} for of in (header.shapes, header.dtypes))
    return replace(header, shapes=shapes, dtypes=dtypes) if prefix else header
