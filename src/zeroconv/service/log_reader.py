"""The log of a run that may still be written: only new lines are read, and all again when the run went back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zeroconv.run_files import parse_line

__all__ = ["LogReader", "Rows", "number"]

BLOCK = 2**24  # bytes read at a time


def number(value: object) -> float | None:
    """A finite number, or None for anything else."""
    found = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if found else None  # type: ignore[arg-type]


@dataclass
class Rows:
    """What the log says, by kind; points are (step, value).

    Attributes:
        probes: lines of probes.
        jump: the line that announces sudden convergence; None before it.
        messages: lines of messages.
        losses: of every step.
        means: running means of the loss.
        speeds: samples per second.
        memory: bytes of the process.
        device_memory: bytes of the GPU.
        seconds_left: at the last line of progress.
        step: the last one in the log.
    """

    probes: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    jump: Mapping[str, Any] | None = None
    messages: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    losses: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    means: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    speeds: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    memory: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    device_memory: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    seconds_left: float | None = None
    step: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in a line."""
        kind, step = row["event"], int(row["step"])
        self.step = max(self.step, step)
        if kind == "probe":
            self.probes.append(row)
        elif kind == "jump":
            self.jump = row
        elif kind == "message":
            self.messages.append(row)
        elif kind == "progress":
            losses = row.get("losses")
            found = [number(one) for one in losses] if isinstance(losses, list) else []
            self.losses += [(step - len(found) + 1 + i, one) for i, one in enumerate(found) if one is not None]
            names = {"loss": self.means, "samples_per_second": self.speeds, "memory": self.memory}
            for name, points in {**names, "device_memory": self.device_memory}.items():
                if (value := number(row.get(name))) is not None:
                    points.append((step, value))
            self.seconds_left = number(row.get("seconds_left"))


class LogReader:
    """Reads a log as it grows.

    Args:
        path: of the log, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows, self.place, self.file, self.rest = Rows(), 0, 0, b""

    def read(self) -> Rows:
        """All that it says by now. A run that is resumed writes its log anew, up to its state; then all of it is read again."""
        try:
            found = self.path.stat()
            if found.st_ino != self.file or found.st_size < self.place:
                self.rows, self.place, self.file, self.rest = Rows(), 0, found.st_ino, b""
            with self.path.open("rb") as file:
                file.seek(self.place)
                while block := file.read(BLOCK):
                    self.place += len(block)
                    *lines, self.rest = (self.rest + block).split(b"\n")
                    for row in (parse_line(line.decode("utf-8", "replace")) for line in lines):
                        if row is not None:
                            self.rows.add(row)
        except OSError:
            pass  # not there yet, or being replaced at this moment
        return self.rows
