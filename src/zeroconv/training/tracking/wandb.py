"""Weights & Biases. The package's own environment variables say project, mode and account: `WANDB_MODE=offline`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["WandbTracker"]


class WandbTracker:
    """A run of Weights & Biases."""

    rewinds = False

    def __init__(self) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        self.wandb: Any = wandb

    def open(self, name: str, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        """As `Tracker.open`."""
        project = os.environ.get("WANDB_PROJECT", "zeroconv")
        shared: dict[str, Any] = {"config": dict(settings), "dir": str(folder), "resume": "allow"}
        self.run = self.wandb.init(project=project, id=name, name=folder.resolve().name, **shared)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """As `Tracker.log`."""
        self.run.log(dict(numbers), step=step)

    def show(self, step: int, name: str, picture: Path) -> None:
        """As `Tracker.show`."""
        self.run.log({name: self.wandb.Image(str(picture))}, step=step)

    def close(self) -> None:
        """As `Tracker.close`."""
        self.run.finish()
