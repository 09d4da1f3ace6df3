"""A fair queue that threads share: some add and remove, others wait for the next."""

import threading

from zeroconv.service.fair_queue import FairQueue

__all__ = ["Turns"]


class Turns:
    """A `FairQueue` with a lock, for whose next entry a thread can wait.

    Args:
        capacity: entries that wait.
    """

    def __init__(self, capacity: int) -> None:
        self.queue, self.changed, self.closed = FairQueue(capacity), threading.Condition(), False

    def __len__(self) -> int:
        with self.changed:
            return len(self.queue)

    def has_room(self, client: str) -> bool:
        """Whether a client may add an entry now."""
        with self.changed:
            return self.queue.has_room(client)

    def add(self, entry: str, client: str, level: int = 1, had_place: bool = False) -> bool:
        """See `FairQueue.add`."""
        with self.changed:
            added = self.queue.add(entry, client, level, had_place)
            self.changed.notify()
            return added

    def take(self, seconds: float) -> str | None:
        """The next entry; None when none came in time, or no more are taken."""
        with self.changed:
            if not self.closed and not len(self.queue):
                self.changed.wait(seconds)
            return None if self.closed else self.queue.take()

    def remove(self, entry: str) -> bool:
        """See `FairQueue.remove`."""
        with self.changed:
            return self.queue.remove(entry)

    def order(self) -> list[str]:
        """All entries in the order in which they will be taken."""
        with self.changed:
            return list(self.queue.order())

    def close(self) -> None:
        """Nothing is taken any more; what waits stays."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
