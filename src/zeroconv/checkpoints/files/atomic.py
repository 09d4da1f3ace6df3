"""Small files, read with a limit and written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any

JSON_BYTES = 25 * 2**20


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is too long, not JSON, or not an object.
    """
    if path.stat().st_size > JSON_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; expected at most {JSON_BYTES}")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} describes {type(found).__name__!r}; expected a JSON object")
    return found


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, "utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
