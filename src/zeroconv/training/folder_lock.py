"""One process trains in a run folder: a lock that the system drops when its holder dies, however it dies."""

import os
from pathlib import Path

from zeroconv.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks; nothing is refused there
    fcntl = None

__all__ = ["FolderLock"]


class FolderLock:
    """A file that one process holds; what is left of it after its end blocks nobody.

    Args:
        path: of the file, which bears the process's number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor: int | None = None

    def acquire(self) -> None:
        """Hold it.

        Raises:
            InputError: when another run holds it, with its process's number.
            OSError: when it cannot be written.
        """
        if fcntl is None:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise InputError(
                f"process {holder or 'unknown'} is training in {self.path.parent}",
                field="checkpoint.out",
                hint="wait for it, stop it, or choose another --out",
            ) from None
        except OSError:  # a file system without locks
            os.close(descriptor)
            return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self.descriptor = descriptor

    def release(self) -> None:
        """Let go of it; the file stays."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def __del__(self) -> None:
        """Let go of it when its run folder is forgotten."""
        self.release()
