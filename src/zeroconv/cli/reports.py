"""The files of an evaluation, and what is printed of it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.cli.console import print_json

__all__ = ["print_report", "write_report"]


def write_report(out: Path, values: Mapping[str, Any], page: str) -> list[Path]:
    """Write `report.json` and `report.html`.

    Args:
        out: where to.
        values: of the one.
        page: the other.

    Returns:
        What was written.

    Raises:
        OSError: when it cannot be written.
    """
    write_text(out / "report.json", json.dumps(values, indent=2, allow_nan=False) + "\n")
    write_text(out / "report.html", page)
    return [out / "report.json", out / "report.html"]


def print_report(values: Mapping[str, Any], lines: Sequence[str], files: Sequence[Path], as_json: bool) -> None:
    """One JSON object, or lines for a person, and the files."""
    if as_json:
        print_json({**values, "files": [str(file) for file in files]})
        return
    for line in (*lines, *files):
        typer.echo(line)
