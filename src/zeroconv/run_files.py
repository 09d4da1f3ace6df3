"""The files by which a run speaks: its log, its sheets, and requests that others put into its folder while it goes on."""

import json
import re
from typing import Any, Final

__all__ = [
    "CONFIG",
    "LOCK",
    "LOG",
    "PROBE",
    "REQUESTS",
    "SAMPLES",
    "SAVE",
    "SHEET",
    "SILENT",
    "STOP",
    "parse_line",
]

CONFIG: Final = "config.toml"
LOG: Final = "log.jsonl"
LOCK: Final = "lock"
SAMPLES: Final = "samples"
SHEET = re.compile(r"step-([0-9]{6,12})\.png")
"""The name of a probe's sheet, with its step."""

STOP, PROBE, SAVE = "stop", "probe", "save"
REQUESTS: Final = (STOP, PROBE, SAVE)
"""Files that ask for something by being there: an end, a probe now, a saved state now."""

SILENT: Final = 60.0  # seconds without a sign of life of the lock's holder until it counts as dead


def parse_line(line: str) -> dict[str, Any] | None:
    """A line of the log; None when a crash cut it off, or it is none of ours."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) and "event" in row else None
