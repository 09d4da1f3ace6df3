"""Signs of life of a service among those that share a database, and the jobs of those that have ended."""

import threading
import time
from contextlib import suppress

from zeroconv.errors import InputError
from zeroconv.service.board import JobBoard

__all__ = ["Heartbeat"]

BEAT = 2.0  # seconds
SILENT = 30.0  # seconds without a sign of life after which a service has ended
FOREVER = 1e12  # seconds


class Heartbeat:
    """Beats as long as the service lives.

    Where the database itself was away, all are silent at once: the silence of others counts as their end only to one who
    has beaten all the while.

    Args:
        board: the jobs of this service.
    """

    def __init__(self, board: JobBoard) -> None:
        self.board, self.since = board, time.monotonic()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Beat once, and then on.

        Raises:
            OSError: the database cannot be used.
        """
        self.since = time.monotonic()
        self.beat()
        self.thread.start()

    def beat(self) -> None:
        """One sign of life, and a look around.

        Raises:
            OSError: the database cannot be used.
        """
        self.board.jobs.beat()
        self.board.jobs.take_over(SILENT if time.monotonic() - self.since >= SILENT else FOREVER)
        self.board.look_around()

    def run(self) -> None:
        """Beat until the end."""
        while not self.ended.wait(BEAT):
            try:
                self.beat()
            except (OSError, InputError):
                self.since = time.monotonic()

    def stop(self) -> None:
        """Beat no more, and leave what has not ended to others."""
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()
        with suppress(OSError, InputError):  # they find out
            self.board.jobs.leave()
