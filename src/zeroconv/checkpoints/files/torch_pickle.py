"""Published `.pth` and `.ckpt` files: read for conversion alone, as tensors and nothing else."""

import codecs
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zeroconv.checkpoints.files.atomic import replacing

__all__ = ["PICKLE_ENDINGS", "read_pickle", "write_pickle"]

PICKLE_ENDINGS = (".pth", ".ckpt", ".pt", ".bin")
PICKLE_BYTES = 25 * 2**20
MAX_RECORDS = 100_000
MAX_DEPTH = 2
"""Containers between a file and its tensors."""
GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a file in PyTorch's zip format, mapped, not copied.

    Only `torch.load(weights_only=True)` looks inside: it builds tensors, plain containers and what `allowed_globals` lists, and
    calls nothing else.
    Before it, the archive is checked: nothing compressed, so that no small file becomes a large one.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is something else, holds more than tensors, or is broken.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weight file at {path}")
    check_archive(path)
    try:
        with torch.serialization.safe_globals([*allowed_globals()]):
            content = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        named = GLOBAL.search(str(error))
        what = f" ({named[1]})" if named else ""
        raise ValueError(f"{path} holds more than tensors{what} and was refused; ask for a .safetensors file") from error
    except Exception as error:  # the reader raises many kinds for broken archives
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {first}") from error
    for wrapper in ("state_dict", "module"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    words = content.get("string_to_param") if isinstance(content, dict) else None
    if isinstance(words, dict):  # a textual-inversion embedding of Stable Diffusion web UI
        content = {f"string_to_param.{name}": value for name, value in words.items()}
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected named tensors")
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    tensors = tensors or nested_tensors(path, content)
    if not tensors:
        raise ValueError(f"{path} holds no named tensor ({len(content)} other entries)")
    for name, tensor in tensors.items():
        check_tensor(path, name, tensor)
    return {name: tensor.detach() for name, tensor in tensors.items()}


def nested_tensors(path: Path, content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors in dictionaries, lists and tuples within one another, named by their places with dots between.

    Hypernetworks (width -> two networks), IP-Adapters and PhotoMaker (part -> network) are saved so.

    Raises:
        ValueError: when it has more entries than any file needs: one that stands in many places is counted in each.
    """
    found, waiting, count = dict[str, Tensor](), [("", content, 0)], 0
    while waiting:
        prefix, entries, depth = waiting.pop(0)
        count += len(entries)
        if count > MAX_RECORDS:
            raise ValueError(f"{path} has more than {MAX_RECORDS} entries within one another: refused")
        for key, value in entries.items():
            if isinstance(value, Tensor):
                found[f"{prefix}{key}"] = value
            elif depth < MAX_DEPTH and isinstance(value, dict | list | tuple):
                within = value if isinstance(value, dict) else dict(enumerate(value))
                waiting.append((f"{prefix}{key}.", within, depth + 1))
    return found


class ModelCheckpoint:
    """Stands in for a training program's bookkeeping, which lies in the checkpoints that program wrote; it does nothing."""


def allowed_globals() -> Iterator[tuple[Any, str]]:
    """What may be built beside tensors, with the names it has in files: numbers of numpy, and the stand-in.

    Checkpoints as they were published (SD 1.x and 2.x, ControlNets of the authors' trainer) hold the state of
    PyTorch Lightning's `ModelCheckpoint`: a path, a score as a number of numpy, counts.
    """
    for module in ("pytorch_lightning.callbacks.model_checkpoint", "lightning.pytorch.callbacks.model_checkpoint"):
        yield ModelCheckpoint, f"{module}.ModelCheckpoint"
    scalar: Any = np.float64(0).__reduce__()[0]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        yield scalar, f"{module}.scalar"
    yield np.dtype, "numpy.dtype"
    yield type(np.dtype(np.float64)), "numpy.dtypes.Float64DType"
    yield codecs.encode, "_codecs.encode"


def check_archive(path: Path) -> None:
    """Refuse what is not a plain archive of stored records.

    Raises:
        ValueError: saying what it is.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise ValueError(
            f"{path} is not in the zip format that PyTorch has written since 1.6, or was cut off; ask for a .safetensors file"
        ) from error
    if len(records) > MAX_RECORDS or any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError(f"{path} is compressed or has more than {MAX_RECORDS} records; PyTorch writes no such file: refused")
    program = sum(record.file_size for record in records if record.filename.endswith("data.pkl"))
    if program > PICKLE_BYTES:
        raise ValueError(f"{path} describes its tensors in {program} bytes; at most {PICKLE_BYTES} are read")


def check_tensor(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse a tensor that is larger than what is stored of it (a view that repeats it), or lies elsewhere.

    Raises:
        ValueError: naming it.
    """
    usual = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not usual or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"{path}: tensor {name!r} is not stored as plain numbers: refused")


def write_pickle(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write named tensors for tools that open nothing but `.pth`: the file is complete, or as it was before.

    Raises:
        OSError: when it cannot be written, naming it.
    """
    plain = {name: copy_if_shared(tensor.detach().cpu().contiguous()) for name, tensor in tensors.items()}
    with replacing(path) as part:
        try:
            torch.save(plain, part)
        except RuntimeError as error:
            raise OSError(str(error)) from error


def copy_if_shared(tensor: Tensor) -> Tensor:
    """A tensor whose memory holds nothing else: all of a tensor's memory is written."""
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone()
