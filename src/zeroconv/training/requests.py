"""What a run is asked for while it goes on, by files in its folder; `stopping` has the request to end."""

from contextlib import suppress
from pathlib import Path

from zeroconv.run_files import PROBE, SAVE

__all__ = ["FileRequests"]


class FileRequests:
    """Requests for a probe or a saved state now.

    Args:
        folder: of the run; a file called `probe` or `save` in it asks by being there. None for a process that does not look.
    """

    names = (PROBE, SAVE)

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def take(self) -> str | None:
        """A request that waits, which then waits no more; None when there is none."""
        for path in (self.folder / name for name in self.names) if self.folder is not None else ():
            with suppress(FileNotFoundError):
                path.unlink()
                return path.name
        return None

    def clear(self) -> None:
        """Remove those of before the run began."""
        while self.take():
            pass
