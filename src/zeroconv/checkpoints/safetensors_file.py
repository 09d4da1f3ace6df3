"""Reading a safetensors file only after its header has been looked at, and writing one whole or not at all."""

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

__all__ = ["read_safetensors", "write_safetensors"]

HEADER_BYTES = 25 * 2**20
HEADER_TENSORS = 100_000
MOST_AXES = 16
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file, on the CPU, in the type it was stored in.

    The header is checked first: at most 25 MiB and 100,000 tensors, and shapes that fit the bytes there are, so a
    hostile header costs neither time nor memory.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no safetensors file, is cut off, or its header lies.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weight file at {path}")
    check_header(path)
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error


def check_header(path: Path) -> None:
    """Look at the first bytes alone.

    Raises:
        ValueError: saying what is wrong with them.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > HEADER_BYTES or 8 + length > size:
            raise ValueError(f"{path} is no safetensors file, or was cut off: {size} bytes, header length {length}")
        raw = file.read(length)
    if raw.count(b'"dtype"') > HEADER_TENSORS:
        raise ValueError(f"{path} announces more than {HEADER_TENSORS} tensors; refused")
    try:
        header: dict[str, Any] = json.loads(raw)
        places = {name: place(entry) for name, entry in header.items() if name != "__metadata__"}
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} has a broken safetensors header ({type(error).__name__})") from error
    for name, (begin, end, wanted) in places.items():
        if not begin <= end <= size - 8 - length or end - begin != wanted:
            raise ValueError(f"{path}: tensor {name!r} does not fit the file ({wanted} bytes at {begin}:{end})")


def place(entry: dict[str, Any]) -> tuple[int, int, int]:
    """Where a tensor begins and ends, and how many bytes its shape and type need."""
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    # Multiplied without a look, a shape of a million sides or of words would cost hours or all memory.
    if len(shape) > MOST_AXES or not all(isinstance(side, int) and 0 <= side < 2**63 for side in (*shape, begin, end)):
        raise ValueError("sides and offsets must be integers from 0, and few")
    return begin, end, math.prod(shape) * ITEM_BYTES[entry["dtype"]]


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` to `path`: the file is complete, or as it was before.

    Raises:
        OSError: when it cannot be written, naming it.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        safetensors.torch.save_file(contiguous, part, metadata={"format": "pt"})
        os.replace(part, path)
    except SafetensorError as error:
        raise OSError(f"cannot write {path}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
