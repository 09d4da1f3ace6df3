"""The weights of one network: a file, or several with an index, for networks larger than one file should be."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from zeroconv.checkpoints.files.atomic import read_json, write_text
from zeroconv.checkpoints.files.safetensors import read_safetensors, write_safetensors

__all__ = ["STEM", "WEIGHTS", "read_shards", "read_weights", "remove_shards", "weight_files", "write_shards"]

STEM = "diffusion_pytorch_model"
"""How the weight files of diffusers' networks begin; those of transformers begin with "model"."""
WEIGHTS = f"{STEM}.safetensors"
PRECISIONS = ("", "fp16", "bf16")
"""Variants of a weight file in the order they are taken: the full one, `STEM.fp16.safetensors`, …"""
SHARD = re.compile(r"[\w.-]+\.safetensors")
"""Names of shards: of files beside their index, whatever the system takes for a separator."""


def read_weights(folder: Path, stem: str = STEM) -> dict[str, Tensor]:
    """The weights of a model folder: one file or shards, in full precision if there is one, else a half-precision variant.

    Args:
        folder: where they lie.
        stem: how the file's name begins: `diffusion_pytorch_model`, or `model` for transformers' networks.

    Raises:
        FileNotFoundError: when there are none.
        ValueError: when a file is broken, or the index of the shards names what is not there.
    """
    file = weight_file(folder, stem)
    return read_shards(file) if file.suffix == ".json" else read_safetensors(file)


def weight_files(folder: Path, stem: str = STEM) -> list[Path]:
    """The files that `read_weights` reads: one, or the shards.

    Raises:
        FileNotFoundError: when there are none.
        ValueError: when the index of the shards is broken.
    """
    file = weight_file(folder, stem)
    return [file.with_name(name) for name in sorted(set(places_in(file).values()))] if file.suffix == ".json" else [file]


def weight_file(folder: Path, stem: str) -> Path:
    """The one weight file of a folder, or the index of its shards.

    Raises:
        FileNotFoundError: when there is none.
    """
    for precision in PRECISIONS:
        end = f".{precision}" if precision else ""
        for path in (folder / f"{stem}{end}.safetensors", folder / f"{stem}.safetensors.index{end}.json"):
            if path.is_file():
                return path
    pickled = next((path for end in ("bin", "ckpt", "pt") for path in sorted(folder.glob(f"*.{end}"))), None)
    instead = ""
    if pickled:
        command = f"zeroconv convert {pickled} {folder / stem}.safetensors --to safetensors"
        instead = f"; {pickled.name} is a pickle, which only `zeroconv convert` opens: {command}"
    raise FileNotFoundError(f"no weight file at {folder / f'{stem}.safetensors'}{instead}")


def read_shards(index: Path) -> dict[str, Tensor]:
    """The tensors that an index distributes over the safetensors files beside it.

    Raises:
        FileNotFoundError: when a shard is missing.
        ValueError: when the index is broken, leads out of its folder, or names tensors its shards do not have.
    """
    places = places_in(index)
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        tensors.update(read_safetensors(index.with_name(name)))
    if tensors.keys() != places.keys():
        first = sorted(tensors.keys() ^ places.keys())[0]
        where = "in no shard" if first in places else "not in the index"
        raise ValueError(f"{index} does not fit its shards: tensor {first!r} is {where}")
    return tensors


def places_in(index: Path) -> dict[str, str]:
    """From the names of tensors to the files they are in, which lie beside the index.

    Raises:
        ValueError: when the index is broken or leads out of its folder.
    """
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ValueError(f"{index} has no weight_map from tensors to files")
    for name in set(places.values()):
        if not SHARD.fullmatch(name):
            raise ValueError(f"{index} names the file {name[:80]!r}; expected a safetensors file beside it")
    return places


def write_shards(folder: Path, tensors: Mapping[str, Tensor], size: int) -> list[Path]:
    """Write shards and their index; the index, without which no shard is read, comes last.

    Args:
        folder: made if it is not there.
        tensors: the weights.
        size: bytes of a shard at most; a larger tensor has a shard of its own.

    Raises:
        OSError: when the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = list(split_by_size(tensors, size))
    places: dict[str, str] = {}
    written: list[Path] = []
    for number, group in enumerate(groups, 1):
        path = folder / f"{STEM}-{number:05d}-of-{len(groups):05d}.safetensors"
        write_safetensors(path, group)
        places |= dict.fromkeys(group, path.name)
        written.append(path)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = folder / f"{STEM}.safetensors.index.json"
    write_text(index, json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=2) + "\n")
    (folder / WEIGHTS).unlink(missing_ok=True)  # a whole file from before would be taken first
    return [*written, index]


def remove_shards(folder: Path) -> None:
    """Remove an index and its shards, which a whole file has taken the place of; files it does not name stay."""
    index = folder / f"{STEM}.safetensors.index.json"
    if index.is_file():
        shards = {name for name in places_in(index).values() if name.startswith(f"{STEM}-")}
        for path in (index, *(folder / name for name in shards)):
            path.unlink(missing_ok=True)


def split_by_size(tensors: Mapping[str, Tensor], size: int) -> Iterator[dict[str, Tensor]]:
    """Tensors in their order, in groups of at most `size` bytes."""
    group: dict[str, Tensor] = {}
    filled = 0
    for name, tensor in tensors.items():
        needed = tensor.numel() * tensor.element_size()
        if group and filled + needed > size:
            yield group
            group, filled = {}, 0
        group[name] = tensor
        filled += needed
    if group:
        yield group
