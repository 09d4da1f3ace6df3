"""Small files read with a limit; every file written whole or not at all, and on the disk before it counts as written."""

import json
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

JSON_BYTES = 25 * 2**20


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Write to a temporary file beside `path`; when the block ends well, it takes the place of `path` in one step.

    Its bytes are on the disk before it is renamed, and the new name before this returns, so that a crash at any moment
    leaves the old file or the new one. When the block fails, the old file stays and the temporary one goes.

    ```
    with replacing(path) as part:
        image.save(part, format="PNG")
    ```

    Args:
        path: the file; its folder must exist when the block ends.

    Yields:
        The temporary file's path, which the block writes to.

    Raises:
        OSError: one line that names `path`, for any OSError inside the block or in the renaming.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        move(part, path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def move(part: Path, path: Path) -> None:
    """Give a file that is whole another name, in one step; what had that name is gone. Both are on the disk then.

    Args:
        part: the file, on the same file system.
        path: its name from now on.

    Raises:
        OSError: it cannot be moved.
    """
    sync(part)
    os.replace(part, path)
    with suppress(OSError):  # some file systems cannot sync a folder; the file itself is complete
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path, limit: int = JSON_BYTES) -> dict[str, Any]:
    """A JSON object from a file.

    Args:
        path: the file.
        limit: bytes that it may have: a file of a stranger must not fill the memory.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is too long, not JSON, or not an object.
    """
    if path.stat().st_size > limit:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; expected at most {limit}")
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({type(error).__name__})") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} describes {type(found).__name__!r}; expected a JSON object")
    return found


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        OSError: when it cannot be written, naming it.
    """
    with replacing(path) as part:
        part.write_text(text, "utf-8")
