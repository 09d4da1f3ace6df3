"""Reading a safetensors file only after its header has been looked at, and writing one whole or not at all."""

import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from zeroconv.checkpoints.files.atomic import replacing

__all__ = ["Header", "check_header", "read_header", "read_safetensors", "write_safetensors"]

HEADER_BYTES = 25 * 2**20
HEADER_TENSORS = 100_000
HEADER_MARKS = {b":": 5 * HEADER_TENSORS, b",": 10 * HEADER_TENSORS}
"""How many of these a header may have: more than so many tensors and their metadata need, and parsing costs memory."""
MAX_AXES = 16
PACKED = (b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b", b"\xfd7zXZ", b"BZh", b"\x28\xb5\x2f\xfd")
"""How archives begin: RAR, 7-Zip, gzip, xz, bzip2, Zstandard."""
CHUNK = 2**20
MAX_NAME_LENGTH = 256
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


class ForeignTypeError(ValueError):
    """A whole file whose numbers are of a type that is not read here, such as 4-bit floats."""


@dataclass(frozen=True)
class Header:
    """What the first bytes of a file announce; no tensor was read.

    Attributes:
        shapes: of each tensor.
        dtypes: of each tensor, in the format's words: "F32", "F16", "BF16", …
        metadata: texts that whoever wrote the file left in it.
    """

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str]


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file, on the CPU, in the type it was stored in: mapped, read from the disk when it is used.

    The header is checked first: at most 25 MiB and 100,000 tensors, and shapes that fit the bytes there are, so a
    hostile header costs neither time nor memory.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no safetensors file, is cut off, or its header lies.
    """
    check_header(path)
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error


def check_header(path: Path) -> None:
    """Refuse a file whose header is hostile or broken, by its first bytes alone.

    Raises:
        ValueError: saying what is wrong with them.
    """
    read_header(path)


def read_header(path: Path) -> Header:
    """Names, shapes and types, after the checks of `read_safetensors`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: saying what is wrong with the header.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weight file at {path}")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > HEADER_BYTES or 8 + length > size:
            raise ValueError(explain_foreign_bytes(path, start, size, length))
        check_marks(path, file, length)
        file.seek(8)
        raw = file.read(length)
    if raw.count(b'"dtype"') > HEADER_TENSORS:
        raise ValueError(f"{path} announces more than {HEADER_TENSORS} tensors; refused")
    try:
        header: dict[str, Any] = json.loads(raw)
        strange = {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} - ITEM_BYTES.keys()
        if strange and all(isinstance(kind, str) for kind in strange):
            kinds = ", ".join(sorted(strange))[:80]
            raise ForeignTypeError(f"{path} holds tensors of type {kinds}, which cannot be read here: get it as F16 or F32")
        places = {name: place(entry) for name, entry in header.items() if name != "__metadata__"}
    except ForeignTypeError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} has a broken safetensors header ({type(error).__name__})") from error
    for name, (begin, end, wanted) in places.items():
        if len(name) > MAX_NAME_LENGTH:
            raise ValueError(f"{path} has a broken safetensors header: a tensor's name has {len(name)} letters, {name!r:.40}…")
        if not begin <= end <= size - 8 - length or end - begin != wanted:
            raise ValueError(
                f"{path}: tensor {name!r} does not fit the file ({wanted} bytes at {begin}:{end}, the file has {size}): "
                "it was cut off or is broken; get it again"
            )
    entries = {name: header[name] for name in places}
    metadata = header.get("__metadata__")
    return Header(
        {name: tuple(entry["shape"]) for name, entry in entries.items()},
        {name: entry["dtype"] for name, entry in entries.items()},
        {str(key): str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {},
    )


def check_marks(path: Path, file: BinaryIO, length: int) -> None:
    """Count what separates entries, a megabyte at a time, before a header is taken into memory and parsed.

    Raises:
        ValueError: when there are more than any file needs.
    """
    found = dict.fromkeys(HEADER_MARKS, 0)
    for begin in range(0, length, CHUNK):
        block = file.read(min(CHUNK, length - begin))
        for mark, most in HEADER_MARKS.items():
            found[mark] += block.count(mark)
            if found[mark] > most:
                raise ValueError(f"{path} announces more than {HEADER_TENSORS} tensors; refused")


def explain_foreign_bytes(path: Path, start: bytes, size: int, length: int) -> str:
    """Why a file cannot be a whole safetensors file, by its first bytes."""
    if not size:
        return f"{path} is empty, as a download that was cut off at once leaves it: get it again"
    if start.startswith(PACKED):
        return f"{path} is an archive, not a safetensors file: unpack it first"
    if start.startswith(b"\x08") and start[2:3] == b"\x12":  # its version, and who wrote it
        return f"{path} is an ONNX model, which cannot be read here: get it as safetensors"
    if start.startswith((b"PK", b"\x80")):
        return (
            f"{path} is a PyTorch pickle, not a safetensors file: get it as safetensors; of a base or ControlNet, "
            "`zeroconv convert` reads pickles that end in .pth or .ckpt"
        )
    if start.startswith(b"GGUF"):
        return f"{path} is a GGUF file (quantised), which cannot be read here: get it as safetensors"
    if start.startswith(b"version "):
        return f"{path} is a Git LFS pointer, not the file itself ({size} bytes): download the file it points to"
    if start.lstrip()[:1] in (b"<", b"{"):
        return f"{path} is a text that begins with {start.decode('ascii', 'replace')!r}, perhaps a web page: get it again"
    return f"{path} is no safetensors file, or was cut off: {size} bytes, header length {length}; get it again"


def place(entry: dict[str, Any]) -> tuple[int, int, int]:
    """Where a tensor begins and ends, and how many bytes its shape and type need."""
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    # Multiplied without a look, a shape of a million sides or of words would cost hours or all memory.
    if len(shape) > MAX_AXES or not all(isinstance(side, int) and 0 <= side < 2**63 for side in (*shape, begin, end)):
        raise ValueError("sides and offsets must be integers from 0, and few")
    return begin, end, math.prod(shape) * ITEM_BYTES[entry["dtype"]]


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write `tensors` to `path`: the file is complete, or as it was before.

    Args:
        path: the file.
        tensors: by name.
        metadata: texts to leave in its header.

    Raises:
        OSError: when it cannot be written, naming it.
        ValueError: for a type that such files cannot hold.
    """
    with replacing(path) as part:
        contiguous = copy_shared({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        try:
            safetensors.torch.save_file(contiguous, part, metadata={"format": "pt", **(metadata or {})})
        except SafetensorError as error:
            raise OSError(str(error)) from error
        except KeyError as error:
            raise ValueError(f"{path}: a safetensors file cannot hold numbers of the type {error.args[0]}") from error
        part.chmod(0o666 & ~umask())  # the library's own writing leaves the file to its owner alone


def copy_shared(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, those copied whose memory another one has already: the library writes no memory twice."""
    apart, end = dict(tensors), 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_ptr()):
        if tensor.numel() and tensor.data_ptr() < end:
            apart[name] = tensor.clone()
        end = max(end, tensor.data_ptr() + tensor.numel() * tensor.element_size())
    return apart


def umask() -> int:
    """What new files may not be; it can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
