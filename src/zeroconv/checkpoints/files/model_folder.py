"""Model folders in the diffusers layout: their configuration, and whether tensors fit a network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zeroconv.checkpoints.files.atomic import read_json, write_text
from zeroconv.checkpoints.files.safetensors import write_safetensors
from zeroconv.checkpoints.files.shards import WEIGHTS

__all__ = ["check_fit", "read_config", "write_model_folder"]


def read_config(folder: Path, *class_names: str) -> dict[str, Any]:
    """`config.json` of a model folder.

    Args:
        folder: where it lies.
        *class_names: what its `_class_name` may be; anything if left out.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is not JSON, not an object, or of another class.
    """
    path = folder / "config.json"
    config = read_json(path)
    found = config.get("_class_name")
    if class_names and found not in class_names:
        raise ValueError(f"{path} describes {found!r:.80}; expected {' or '.join(class_names)}")
    return config


def check_fit(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], sentence: str) -> None:
    """Compare the names and shapes of tensors with those a network has.

    Args:
        tensors: from a file.
        shapes: the network's.
        sentence: how the error begins, such as "FILE does not fit its config.json".

    Raises:
        ValueError: naming the first tensor that is missing, unknown or of another shape.
    """
    missing, unknown = sorted(shapes.keys() - tensors.keys()), sorted(tensors.keys() - shapes.keys())
    if missing or unknown:
        first = f"tensor {missing[0]!r} is missing" if missing else f"tensor {unknown[0]!r} is unknown"
        raise ValueError(f"{sentence}: {first} ({len(missing)} missing, {len(unknown)} unknown)")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{sentence}: {name!r} has shape {tuple(tensors[name].shape)}, expected {shape}")


def write_model_folder(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    weights: str = WEIGHTS,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write `config.json` and the weights in a file of that name; each file is complete, or as it was before.

    Raises:
        OSError: when the folder cannot be written, naming it.
    """
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / weights, tensors, metadata)
    write_text(folder / "config.json", text)
    return folder
