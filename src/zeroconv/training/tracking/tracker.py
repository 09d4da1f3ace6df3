"""What a program that shows runs is told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Tracker"]


class Tracker(Protocol):
    """One run in such a program. Whatever it raises ends the tracking, not the run."""

    rewinds: bool
    """Whether opening it at a step makes it forget what it was told of later ones."""

    def open(self, name: str, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        """Begin, or go on with the same run.

        Args:
            name: of the run, the same whenever it is gone on with, and no other's.
            folder: of the run.
            settings: of the run, plain values.
            step: which the run has reached; what comes will be later.
        """
        ...

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Numbers of a step, by names such as "probe/fidelity"."""
        ...

    def show(self, step: int, name: str, picture: Path) -> None:
        """A picture of a step, a PNG."""
        ...

    def close(self) -> None:
        """Write what waits."""
        ...
