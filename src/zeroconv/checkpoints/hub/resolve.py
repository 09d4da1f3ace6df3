"""Where the weights behind a name are: embedded, a folder, a file, or the hub."""

from importlib.resources import files
from pathlib import Path

from zeroconv.checkpoints.files.atomic import read_json

MARKS = {
    "base": "model_index.json", "ControlNet": "config.json", "annotator": "config.json", "CLIP": "config.json",
    "LoRA": "pytorch_lora_weights.safetensors",
}  # fmt: skip
JUDGES = {"tiny-annotator": "annotator", "tiny-clip": "CLIP"}
"""Embedded networks that read pictures and make none, with their kinds."""


def assets() -> Path:
    """The folder of the weights that come with the package."""
    return Path(str(files("zeroconv") / "assets"))


def embedded_names(kind: str) -> list[str]:
    """Names of the bases, ControlNets or LoRAs that come with the package."""
    mark = MARKS[kind]
    folders = (path for path in assets().glob("*") if (path / mark).is_file())
    return sorted(path.name for path in folders if mark != "config.json" or JUDGES.get(path.name, "ControlNet") == kind)


def resolve(name_or_path: str | Path, kind: str) -> Path:
    """Where a name leads: to an embedded folder, a folder or file of the user's, or what the hub calls so.

    Args:
        name_or_path: such as "tiny", "tiny-canny", a path, "owner/name" or "owner/name@revision".
        kind: "base", "ControlNet", "annotator", "CLIP", or "LoRA", of which the embedded ones alone are found.

    Returns:
        The folder; or a file: a LoRA, the user's, or the one that a repository on the hub consists of (see `hub.download`).

    Raises:
        FileNotFoundError: when it is none of them, listing the embedded names.
        OSError: when the hub refuses, or cannot be reached (see `hub.download`).
        ValueError: when the folder is of another kind.
    """
    mark, known = MARKS[kind], embedded_names(kind)
    if str(name_or_path) in known:
        return assets() / str(name_or_path) / (mark if kind == "LoRA" else "")
    folder = Path(name_or_path)
    if not folder.exists():
        from zeroconv.checkpoints.hub.download import download, is_hub_id  # here, because the hub's client takes half a second

        if kind not in JUDGES.values() and is_hub_id(str(name_or_path)):
            return download(str(name_or_path), kind).path
        raise FileNotFoundError(
            f"no {kind} called {str(name_or_path)!r}: expected a folder in the diffusers layout, a .safetensors file, "
            f"owner/name on the hub, or one of {', '.join(known)}"
        )
    if folder.is_file() and kind not in JUDGES.values():
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
