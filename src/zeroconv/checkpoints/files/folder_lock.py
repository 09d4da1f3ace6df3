"""One process writes into a folder: a lock that the system drops when its holder dies, however it dies."""

import os
import platform
import threading
import time
import weakref
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from zeroconv.errors import InputError
from zeroconv.run_files import SILENT

try:
    import fcntl
except ImportError:  # Windows has no such locks; nothing is refused there
    fcntl = None

__all__ = ["FolderLock"]

HELD: "weakref.WeakSet[FolderLock]" = weakref.WeakSet()
"""Locks of this process. A forked one drops them: a loader's worker that outlives a killed run must not go on holding it."""
BEAT = 15  # seconds between two signs of life of a holder; on another machine it counts as dead after `SILENT`


class FolderLock:
    """A file that one process holds; what is left of it after its end blocks nobody.

    Where a folder is shared by machines whose locks do not reach each other, the file's time is the holder's sign of life.

    Args:
        path: of the file, which bears the process's number, its machine, and the time at which it took hold of it.
        doing: what its holder does, for those who are refused: process 7 on node1 *is training in* that folder.
        field: what named the folder.
    """

    def __init__(self, path: Path, doing: str, field: str) -> None:
        self.path, self.doing, self.field = path, doing, field
        self.descriptor: int | None = None
        self.released = threading.Event()

    def acquire(self) -> None:
        """Hold it.

        Raises:
            InputError: when another process holds it, with its number, its machine and since when.
            OSError: when it cannot be written.
        """
        if fcntl is None:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = read_holder(descriptor)
            os.close(descriptor)
            raise self.refuse(*holder) from None
        except OSError:  # a file system without locks
            os.close(descriptor)
            return
        if not is_file(descriptor, self.path):  # it was removed in between, so that it is nobody's any more
            os.close(descriptor)
            self.acquire()
            return
        process, machine, since = read_holder(descriptor)
        if machine not in ("", platform.node()) and time.time() - os.fstat(descriptor).st_mtime < SILENT:
            os.close(descriptor)
            raise self.refuse(process, machine, since)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {platform.node()} {now}\n".encode(), 0)
        except OSError as error:
            os.close(descriptor)
            raise OSError(f"cannot write {self.path}: {error.strerror}") from error
        self.descriptor = descriptor
        HELD.add(self)
        self.released = threading.Event()
        threading.Thread(target=beat, args=(descriptor, self.released), daemon=True).start()

    def release(self) -> None:
        """Let go of it; the file stays, empty."""
        if self.descriptor is not None:
            self.released.set()
            with suppress(OSError):
                os.ftruncate(self.descriptor, 0)
            os.close(self.descriptor)
            self.descriptor = None

    def __del__(self) -> None:
        """Let go of it when its owner is forgotten."""
        self.release()

    def refuse(self, process: str, machine: str, since: str) -> InputError:
        """The error for a folder that somebody works on."""
        who = f"process {process or 'unknown'} on {machine or 'this machine'} {self.doing} {self.path.parent}"
        return InputError(
            f"{who}, since {since}" if since else who,
            field=self.field,
            hint=f"wait for it, stop it, or choose another --{self.field.rpartition('.')[2]}",
        )


def drop_inherited() -> None:
    """Close a forked process's copies of its parent's locks, which the parent goes on holding."""
    for lock in HELD:
        if lock.descriptor is not None:
            os.close(lock.descriptor)
            lock.descriptor = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=drop_inherited)


def beat(descriptor: int, released: threading.Event) -> None:
    """Give signs of life until it is let go."""
    while not released.wait(BEAT):
        with suppress(OSError):
            os.utime(descriptor)


def read_holder(descriptor: int) -> tuple[str, str, str]:
    """Process and machine of whoever holds a lock, and since when; empty where it does not say."""
    words = os.pread(descriptor, 256, 0).decode("utf-8", "replace").split()
    process, machine, since = (*words, "", "", "")[:3]
    return process, machine, since


def is_file(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
