"""The folders of runs: which are some, and their deletion, after which each is whole or gone, whatever interrupts it."""

import shutil
from pathlib import Path

from zeroconv.service.run_request import RUN_NAME

__all__ = ["REQUEST", "delete_run", "finish_deletions", "is_run"]

REQUEST = "request.json"
"""What a run was asked for, beside its other files."""

DOOMED = ".{}.deleted"
"""The name of a run's folder from the moment on in which it is no run any more."""


def is_run(path: Path) -> bool:
    """Whether a folder, and no link to one, is a run of the service."""
    return RUN_NAME.fullmatch(path.name) is not None and not path.is_symlink() and (path / REQUEST).is_file()


def delete_run(path: Path) -> None:
    """Delete the folder of a run, in which nobody may be training.

    Raises:
        OSError: it cannot be deleted.
    """
    doomed = path.with_name(DOOMED.format(path.name))
    shutil.rmtree(doomed, ignore_errors=True)  # of an earlier run of that name
    path.rename(doomed)
    shutil.rmtree(doomed)


def finish_deletions(folder: Path) -> None:
    """Delete what is left of runs whose deletion was interrupted.

    Args:
        folder: of all runs.
    """
    for path in folder.glob(DOOMED.format("*")):
        shutil.rmtree(path, ignore_errors=True)
