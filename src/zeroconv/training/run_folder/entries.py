"""What lies in a run folder, and whether a folder is one: nothing else is ever replaced or removed."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from zeroconv.errors import InputError
from zeroconv.run_files import CONFIG, LOCK, LOG, REQUESTS, SAMPLES
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.run_folder.checkpoints import EARLIER, MANIFEST

__all__ = ["ENTRIES", "HELD_OUT", "SKIPPED", "check_ours", "is_comparable"]

HELD_OUT, SKIPPED = "held-out.json", "skipped.jsonl"
WRITTEN = ("state", "cache", SAMPLES, "controlnet", CONFIG, LOG, HELD_OUT, SKIPPED, "trackers.json", "tensorboard")
ENTRIES = (*WRITTEN, *REQUESTS)
"""What `RunFolder.clear` removes; a README stays until a new one takes its place."""


def check_ours(folder: Path) -> None:
    """Refuse a folder that is no run's and holds what a run would replace, such as a `cache` or a `config.toml`.

    Raises:
        InputError: naming it.
    """
    if is_run(folder):
        return
    for path in (folder / name for name in WRITTEN):
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            message = f"{path} is no training's, and a run would replace it"
            raise InputError(message, field="checkpoint.out", hint="choose another --out, or move it away")


def is_run(folder: Path) -> bool:
    """Whether a run has begun in a folder, though it may have been killed at once, or its settings be damaged."""
    state, config = folder / "state", folder / CONFIG
    if (folder / HELD_OUT).is_file() or (state / EARLIER).is_file() or any(state.glob(f"step-*/{MANIFEST}")):
        return True
    if config.is_file() and config.stat().st_size:
        with suppress(InputError):
            return bool(TrainConfig.build(config))
        return False
    return (folder / LOCK).is_file()


def is_comparable(row: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Whether a probe's pictures were made as they are made now, as far as its line says how."""
    return all(row.get(name, value) == value for name, value in made.items())
