"""What the page shows of a run folder, as plain values; nothing is written."""

import math
import os
import platform
import threading
import time
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

from zeroconv.run_files import CONFIG, LOCK, LOG, REQUESTS, SAMPLES, SHEET, SILENT
from zeroconv.service.log_reader import LogReader, number

__all__ = ["RunView", "thin_out"]

POINTS = 500  # of a curve: more than a screen can tell apart
MESSAGES = 200
LARGEST = 64 * 2**20  # bytes of a sheet
PNG = b"\x89PNG\r\n\x1a\n"
OF_PROBE = ("fidelity", "low", "high", "uncontrolled", "ceiling", "held_out_loss", "pictures", "strength", "guidance")
OF_JUMP = ("at", "earliest", "latest", "begin", "end")


class RunView:
    """A run folder as it is now.

    Args:
        path: of the run folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.log = LogReader(self.path / LOG)
        self.reading = threading.Lock()

    def is_run(self) -> bool:
        """Whether a run has begun there."""
        return (self.path / CONFIG).is_file() or (self.path / LOG).is_file()

    def state(self) -> dict[str, Any]:
        """All of it, for JSON: no number in it is infinite, and no text is more than text."""
        with self.reading:
            rows, settings = self.log.read(), self.settings()
            group = settings.get("optimization")
            steps = number(group.get("steps")) if isinstance(group, dict) else None
            return {
                "name": self.path.name,
                "path": str(self.path),
                "status": self.status(rows.step, steps),
                "step": rows.step,
                "steps": steps,
                "seconds_left": rows.seconds_left,
                "settings": settings,
                "probes": [describe_probe(row) for row in rows.probes],
                "jump": rows.jump and {name: number(rows.jump.get(name)) for name in OF_JUMP},
                "losses": thin_out(rows.losses),
                "means": thin_out(rows.means),
                "speeds": thin_out(rows.speeds),
                "memory": thin_out(rows.memory),
                "device_memory": thin_out(rows.device_memory),
                "messages": [describe_message(row) for row in rows.messages[-MESSAGES:]],
                "sheets": self.sheets(),
                "saved": self.saved_step(),
                "asked": [name for name in REQUESTS if (self.path / name).exists()],
            }

    def status(self, step: int, steps: float | None) -> str:
        """Whether it is "running", "finished" or "stopped"."""
        if self.is_running():
            return "running"
        return "finished" if steps is not None and step >= steps else "stopped"

    def is_running(self) -> bool:
        """Whether a process trains there: it is named in the lock, and gives signs of life."""
        try:
            words = (self.path / LOCK).read_text("utf-8", "replace").split()
            if not words or time.time() - (self.path / LOCK).stat().st_mtime > SILENT:
                return False
            if words[1:2] == [platform.node()] and words[0].isdigit() and os.name == "posix":
                os.kill(int(words[0]), 0)  # asks whether it is there, and does nothing to it
        except PermissionError:  # it is there, and another user's
            return True
        except (OSError, OverflowError):
            return False
        return True

    def settings(self) -> dict[str, Any]:
        """The settings, in groups; none where they cannot be read."""
        try:
            return plain(tomllib.loads((self.path / CONFIG).read_text("utf-8")))
        except (OSError, ValueError, RecursionError):
            return {}

    def sheets(self) -> list[str]:
        """Names of the probes' sheets, oldest first."""
        try:
            names = [path.name for path in (self.path / SAMPLES).iterdir() if SHEET.fullmatch(path.name)]
        except OSError:
            return []
        return sorted(names, key=lambda name: int(name[5:-4]))

    def read_sheet(self, name: str) -> bytes | None:
        """The PNG of a sheet; None for any other name, and for what is no picture in this very folder."""
        path = self.path / SAMPLES / name
        if not SHEET.fullmatch(name) or path.resolve() != path:  # a link leads elsewhere
            return None
        try:
            if not path.is_file() or path.stat().st_size > LARGEST:
                return None
            content = path.read_bytes()
        except OSError:
            return None
        return content if content.startswith(PNG) else None

    def saved_step(self) -> int | None:
        """Step of the newest saved state."""
        try:
            names = [path.name.removeprefix("step-") for path in (self.path / "state").iterdir()]
        except OSError:
            return None
        return max((int(name) for name in names if name.isdigit()), default=None)

    def ask(self, name: str) -> None:
        """Put a request into the folder; it may be there already.

        Raises:
            OSError: when it cannot be written.
        """
        assert name in REQUESTS
        with suppress(FileExistsError):  # with no link followed
            os.close(os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def describe_probe(row: Mapping[str, Any]) -> dict[str, Any]:
    """A probe; a log of an earlier version says less of it."""
    without_prompt = row.get("without_prompt")
    value = without_prompt.get("value") if isinstance(without_prompt, dict) else None
    found: dict[str, Any] = {name: number(row.get(name)) for name in (*OF_PROBE, "denoising_steps")}
    return {**found, "step": row["step"], "without_prompt": number(value), "measure": text(row.get("measure", "fidelity"))}


def describe_message(row: Mapping[str, Any]) -> dict[str, Any]:
    """A message."""
    return {"step": row["step"], **{name: text(row.get(name, "")) for name in ("text", "code", "level")}}


def plain(value: Any) -> Any:
    """Nested values for JSON: what it has no word for, such as an infinite number or a date, as text."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    is_said = value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_said else str(value)


def text(value: object) -> str:
    """A line that is not too long."""
    return " ".join(str(value).split())[:2000]


def thin_out(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """At most `POINTS` points: means of equally many neighbours."""
    size = -(-len(points) // POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), max(size, 1))]
    return [(fmean(step for step, _ in group), fmean(value for _, value in group)) for group in groups]
