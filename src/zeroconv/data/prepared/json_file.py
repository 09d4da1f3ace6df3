"""JSON files about rows: far longer than settings are, and nothing is written that would not be read again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeroconv.checkpoints.files.atomic import read_json, write_text
from zeroconv.errors import InputError

__all__ = ["read_rows_json", "write_rows_json"]

ROWS_BYTES = 2**30
"""At most: 65,536 rows, the largest shard, of captions of 16 kB; or a manifest of two million shards."""


def read_rows_json(path: Path) -> dict[str, Any]:
    """The object of a file; errors as `read_json`."""
    return read_json(path, ROWS_BYTES)


def write_rows_json(path: Path, values: Mapping[str, Any], indent: int | None = None) -> None:
    """Write an object, whole or not at all.

    Raises:
        OSError: when it cannot be written, naming it.
        InputError: when it is too long to be read again.
    """
    text = json.dumps(values, indent=indent, ensure_ascii=False) + "\n"
    if (size := len(text.encode())) > ROWS_BYTES:
        message = f"{path} would have {size:,} bytes of names, captions and reasons; expected at most {ROWS_BYTES:,}"
        raise InputError(message, field="shard_size", hint="take another --shard-size, or shorter captions")
    write_text(path, text)
