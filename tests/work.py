"""What a piece of work costs: in the processor's time, which does not pass while others are busy, and in memory."""

import resource
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def little_work(seconds: float = 2.0, megabytes: float = 500.0) -> Generator[None]:
    """What is done inside takes this process no more processor time, and raises its peak of memory by no more."""
    started, memory = time.process_time(), peak_megabytes()
    yield
    assert time.process_time() - started < seconds
    assert peak_megabytes() - memory < megabytes


def peak_megabytes() -> float:
    """The most memory this process ever held."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
