"""How long a place in the queue takes, by what the last jobs took."""

import math
from collections import deque

__all__ = ["WaitTimes"]

REMEMBERED = 32  # jobs
LONGEST = 3600  # seconds that anybody is told to wait
FIRST_GUESS = 2.0  # seconds of a job, before one was measured


class WaitTimes:
    """Measured times of jobs, and the waits that follow from them.

    Args:
        workers: jobs that run at a time.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self.seconds: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        """A job took so long."""
        self.seconds.append(seconds)

    @property
    def mean(self) -> float:
        """Seconds of a job."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else FIRST_GUESS

    def retry_after(self, waiting: int, running_for: float = 0.0) -> int:
        """Whole seconds until a place is free, 1 … 3600.

        Args:
            waiting: jobs that must begin before: 0 where the next end of a running job makes room.
            running_for: seconds that the job that will end next runs already.
        """
        rest = max(0.0, self.mean - running_for)
        return max(1, min(LONGEST, math.ceil((rest + waiting * self.mean) / self.workers)))
