"""Model folders in the diffusers layout, and the way from a name to a folder."""

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from torch import Tensor

from zeroconv.checkpoints.safetensors_file import read_safetensors, write_safetensors

__all__ = ["embedded_names", "read_config", "read_model_folder", "resolve", "write_model_folder"]

WEIGHTS = "diffusion_pytorch_model.safetensors"
MARKS = {"base": "model_index.json", "ControlNet": "config.json", "annotator": "config.json"}


def assets() -> Path:
    """The folder of the weights that come with the package."""
    return Path(str(files("zeroconv") / "assets"))


def embedded_names(kind: str) -> list[str]:
    """Names of the bases or ControlNets that come with the package."""
    mark = MARKS[kind]
    folders = (path for path in assets().glob("*") if (path / mark).is_file())
    return sorted(path.name for path in folders if kind == "base" or (path.name == "tiny-annotator") == (kind == "annotator"))


def resolve(name_or_path: str | Path, kind: str) -> Path:
    """The folder that a name means: an embedded name, or a folder of the user's.

    Args:
        name_or_path: such as "tiny", "tiny-canny" or a path.
        kind: "base", "ControlNet" or "annotator".

    Raises:
        FileNotFoundError: when it is neither, listing the embedded names.
        ValueError: when the folder is of another kind.
    """
    mark, known = MARKS[kind], embedded_names(kind)
    if str(name_or_path) in known:
        return assets() / str(name_or_path)
    folder = Path(name_or_path)
    if not folder.exists():
        raise FileNotFoundError(
            f"no {kind} called {str(name_or_path)!r}: expected a folder in the diffusers layout, or one of {', '.join(known)}"
        )
    run = folder / "controlnet"  # a training run keeps its network here
    if kind == "ControlNet" and not (folder / mark).is_file() and (run / mark).is_file():
        return run
    if not (folder / mark).is_file():
        raise ValueError(f"{folder} is not a {kind} folder in the diffusers layout: it has no {mark}")
    return folder


def read_config(folder: Path, *class_names: str) -> dict[str, Any]:
    """`config.json` of a model folder.

    Args:
        folder: where it lies.
        *class_names: what its `_class_name` may be; anything if left out.

    Raises:
        ValueError: when it is not JSON, not an object, or of another class.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({type(error).__name__})") from error
    found = config.get("_class_name") if isinstance(config, dict) else type(config).__name__
    if not isinstance(config, dict) or (class_names and found not in class_names):
        raise ValueError(f"{path} describes {found!r}; expected {' or '.join(class_names) or 'an object'}")
    return config


def read_model_folder(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The weights of a model folder, checked against the names and shapes its network has.

    Raises:
        FileNotFoundError: when there is no weight file.
        ValueError: naming the first tensor that is missing, unknown or of another shape.
    """
    path = folder / WEIGHTS
    tensors = read_safetensors(path)
    missing, unknown = sorted(shapes.keys() - tensors.keys()), sorted(tensors.keys() - shapes.keys())
    if missing or unknown:
        first = f"tensor {missing[0]!r} is missing" if missing else f"tensor {unknown[0]!r} is unknown"
        raise ValueError(f"{path} does not fit its config.json: {first} ({len(missing)} missing, {len(unknown)} unknown)")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(
                f"{path} does not fit its config.json: {name!r} has shape {tuple(tensors[name].shape)}, expected {shape}"
            )
    return tensors


def write_model_folder(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Path:
    """Write `config.json` and the weights; each file is complete, or as it was before.

    Raises:
        OSError: when the folder cannot be written, naming it.
    """
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / WEIGHTS, tensors)
    part = folder / ".config.json.part"
    try:
        part.write_text(text, "utf-8")
        os.replace(part, folder / "config.json")
    finally:
        part.unlink(missing_ok=True)
    return folder
