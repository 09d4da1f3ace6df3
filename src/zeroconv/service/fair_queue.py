"""Who is next: the urgent first, and among equals each client in turn, however many jobs one of them has sent."""

from collections import OrderedDict, deque
from collections.abc import Iterator

__all__ = ["FairQueue"]


class FairQueue:
    """A bounded queue of job ids. It is a value without threads: whoever shares it has a lock.

    In every level clients take turns (round robin). Whose turn it was goes to the end when the next job is taken, not when
    its own was, so that whoever comes meanwhile is before it. A client may hold as many jobs as places are free (dynamic
    queue length thresholds: Choudhury and Hahne, 1998), so that nobody fills the queue alone.

    Args:
        capacity: jobs that wait.
        levels: of urgency; 0 is the most urgent.
    """

    def __init__(self, capacity: int, levels: int = 2) -> None:
        self.capacity = capacity
        self.levels: list[OrderedDict[str, deque[str]]] = [OrderedDict() for _ in range(levels)]
        self.where: dict[str, tuple[int, str]] = {}
        self.last: str | None = None

    def __len__(self) -> int:
        return len(self.where)

    def __contains__(self, job: str) -> bool:
        return job in self.where

    def has_room(self, client: str) -> bool:
        """Whether a client may add a job."""
        held = sum(owner == client for _, owner in self.where.values())
        return held < self.capacity - len(self)

    def add(self, job: str, client: str, level: int = 1, had_place: bool = False) -> bool:
        """Add a job at the end of its client's.

        Args:
            job: it.
            client: whose.
            level: of urgency.
            had_place: for one that waited before, for which there is always room, as there is in level 0.

        Returns:
            Whether there was room.
        """
        if level and not had_place and not self.has_room(client):
            return False
        self.levels[level].setdefault(client, deque()).append(job)
        self.where[job] = level, client
        return True

    def take(self) -> str | None:
        """The next job, which leaves the queue."""
        for jobs in self.levels:
            if self.last in jobs:
                jobs.move_to_end(self.last)
            for client in jobs:
                job, self.last = jobs[client].popleft(), client
                if not jobs[client]:
                    del jobs[client]
                del self.where[job]
                return job
        return None

    def remove(self, job: str) -> bool:
        """Take out a job that is not wanted any more; whether it was there."""
        level, client = self.where.pop(job, (0, None))
        if client is None:
            return False
        jobs = self.levels[level]
        jobs[client].remove(job)
        if not jobs[client]:
            del jobs[client]
        return True

    def order(self) -> Iterator[str]:
        """All jobs in the order in which they will be taken, if none is added."""
        for jobs in self.levels:
            rows = [list(row) for client, row in jobs.items() if client != self.last]
            rows += [list(jobs[self.last])] if self.last in jobs else []
            for turn in range(max(map(len, rows), default=0)):
                yield from (row[turn] for row in rows if turn < len(row))

    def position(self, job: str) -> int | None:
        """How many are taken before it; None if it is not here."""
        return next((place for place, one in enumerate(self.order()) if one == job), None)
