"""Model folders in the diffusers layout, and the way from a name to a folder."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from torch import Tensor

from zeroconv.checkpoints.safetensors_file import write_safetensors
from zeroconv.checkpoints.shards import WEIGHTS, read_json, read_weights, write_text

__all__ = [
    "check_fit", "embedded_names", "read_config", "read_json", "read_model_folder", "read_weights", "resolve",
    "write_model_folder",
]  # fmt: skip

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
    """Where a name leads: to an embedded folder, a folder or file of the user's, or what the hub calls so.

    Args:
        name_or_path: such as "tiny", "tiny-canny", a path, "owner/name" or "owner/name@revision".
        kind: "base", "ControlNet" or "annotator".

    Returns:
        The folder; or a file: the user's, or the one that a repository on the hub consists of (see `hub.download`).

    Raises:
        FileNotFoundError: when it is none of them, listing the embedded names.
        OSError: when the hub refuses, or cannot be reached (see `hub.download`).
        ValueError: when the folder is of another kind.
    """
    mark, known = MARKS[kind], embedded_names(kind)
    if str(name_or_path) in known:
        return assets() / str(name_or_path)
    folder = Path(name_or_path)
    if not folder.exists():
        from zeroconv.checkpoints.hub import download, is_hub_id  # here, because the hub's client takes half a second

        if kind != "annotator" and is_hub_id(str(name_or_path)):
            return download(str(name_or_path), kind).path
        raise FileNotFoundError(
            f"no {kind} called {str(name_or_path)!r}: expected a folder in the diffusers layout, a .safetensors file, "
            f"owner/name on the hub, or one of {', '.join(known)}"
        )
    if folder.is_file() and kind != "annotator":
        return folder
    run = folder / "controlnet"  # a training run keeps its network here
    if kind == "ControlNet" and not (folder / mark).is_file() and (run / mark).is_file():
        return run
    if not (folder / mark).is_file():
        raise ValueError(f"{folder} is not a {kind} folder in the diffusers layout: it has no {mark}{instead(folder, kind)}")
    return folder


def instead(folder: Path, kind: str) -> str:
    """What a folder is, if it is the other kind: the end of a sentence."""
    if kind == "ControlNet" and (folder / MARKS["base"]).is_file():
        return f"; its {MARKS['base']} makes it a base: open it as one, with --base"
    if kind == "base" and (folder / MARKS["ControlNet"]).is_file():
        found = read_json(folder / MARKS["ControlNet"]).get("_class_name")
        return f"; its {MARKS['ControlNet']} describes {found[:80]!r}: give a whole base" if isinstance(found, str) else ""
    return ""


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


def read_model_folder(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The weights of a model folder, checked against the names and shapes its network has.

    Raises:
        FileNotFoundError: when there is no weight file.
        ValueError: naming the first tensor that is missing, unknown or of another shape.
    """
    tensors = read_weights(folder)
    check_fit(tensors, shapes, f"{folder / WEIGHTS} does not fit its config.json")
    return tensors


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
