"""trackio, Hugging Face's tracker: a data base on this machine, which the command `trackio show` shows."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["TrackioTracker"]


class TrackioTracker:
    """A run of trackio."""

    rewinds = False

    def __init__(self) -> None:
        import trackio  # pyright: ignore[reportMissingImports]

        self.trackio: Any = trackio

    def open(self, name: str, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        """As `Tracker.open`."""
        project = os.environ.get("TRACKIO_PROJECT", "zeroconv")
        self.run = self.trackio.init(project=project, name=name, config=dict(settings), resume="allow", embed=False)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """As `Tracker.log`."""
        self.run.log(dict(numbers), step=step)

    def show(self, step: int, name: str, picture: Path) -> None:
        """As `Tracker.show`."""
        self.run.log({name: self.trackio.Image(str(picture))}, step=step)

    def close(self) -> None:
        """As `Tracker.close`."""
        self.trackio.finish()
