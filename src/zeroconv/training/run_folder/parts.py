"""The files of a state that processes divide among them (`torch.distributed.checkpoint`), as safetensors.

Each process writes the parts that it holds, and reads those that it needs, from files of any number of processes.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from zeroconv.training.divided_tensors import is_divided

__all__ = ["read_parts", "read_parts_like", "write_parts"]


def write_parts(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write this process's parts, and wait until they are on the disk; every process must do it at once.

    Args:
        folder: that all of them see.
        tensors: by name; whole ones are written by one of the processes.

    Raises:
        OSError: in all of them, when one of them cannot write.
    """
    try:
        save(dict(tensors), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
    except CheckpointException as error:
        raise OSError(reason_of(error)) from error


def read_into(folder: Path, tensors: dict[str, Tensor], alone: bool = False) -> None:
    """Fill tensors, each process those that it holds; every process must do it at once.

    Args:
        folder: of a state, whoever wrote it.
        tensors: some or all of the state's, by name.
        alone: whether one process reads for itself.

    Raises:
        ValueError: when it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            load(tensors, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=alone)
    except CheckpointException as error:
        raise ValueError(f"{folder} cannot be read: {reason_of(error)}") from error


def shapes_in(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of every tensor of a state, divided or not."""
    found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {name: (one.size, one.properties.dtype) for name, one in found.items() if isinstance(one, TensorStorageMetadata)}


def read_parts(folder: Path) -> dict[str, Tensor]:
    """All tensors of a state, whole, for one process."""
    tensors = {name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in shapes_in(folder).items()}
    read_into(folder, tensors, alone=True)
    return tensors


def read_parts_like(folder: Path, find_like: Callable[[str], Tensor | None]) -> dict[str, Tensor]:
    """All tensors of a state, divided as others are; every process must do it at once.

    Args:
        folder: of the state.
        find_like: for the name of a tensor the one that it is divided like; without one of its shape it is read whole.
    """
    tensors: dict[str, Tensor] = {}
    for name, (shape, dtype) in shapes_in(folder).items():
        like = find_like(name)
        if like is not None and is_divided(like) and like.shape == shape:
            tensors[name] = torch.empty_like(like, dtype=dtype, requires_grad=False)
        else:
            tensors[name] = torch.empty(shape, dtype=dtype)
    read_into(folder, tensors)
    return tensors


def reason_of(error: CheckpointException) -> str:
    """What failed, in one line: that of the first process that did."""
    first = next(iter(error.failures.values()))[0]
    return getattr(first, "strerror", None) or f"{first}".partition("\n")[0] or type(first).__name__
