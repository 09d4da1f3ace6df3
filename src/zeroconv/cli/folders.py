"""Output folders that are known to be writable before anything is computed."""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["all_or_nothing", "output_folder"]


@contextmanager
def output_folder(path: Path) -> Generator[Path]:
    """Make a folder and try it out; folders that were made for it and stayed empty go again.

    Raises:
        OSError: one line, when it is no folder or cannot be written into.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            blocking = next((p for p in (path, *path.parents) if p.exists() and not p.is_dir()), None)
            reason = f"{blocking} is a file" if blocking else error.strerror or str(error)
            raise OSError(f"cannot write into {path}: {reason}") from error
        yield path
    finally:
        for folder in made:
            with suppress(OSError):  # not empty, or never made
                folder.rmdir()


@contextmanager
def all_or_nothing(out: Path) -> Generator[None]:
    """When the work fails, a file or folder that was not there before goes again, and folders that were made for it.

    What was there is left alone: its files are written one by one, each whole or not at all.
    """
    made = [place for place in (out, *out.parents) if not place.exists()]
    try:
        yield
    except BaseException:
        if out in made and out.is_dir():
            shutil.rmtree(out)
        elif out in made:
            out.unlink(missing_ok=True)
        for folder in made[1:]:
            with suppress(OSError):  # not empty, or never made
                folder.rmdir()
        raise
