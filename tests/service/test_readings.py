"""Short tasks, without a process: places are free again when nobody waits any more. And what all starting processes share."""

import os
import threading
from contextlib import suppress
from typing import Any, cast

import pytest

from zeroconv.service import BusyError
from zeroconv.service.process import OFFLINE, offline
from zeroconv.service.readings import WAITING, Readings


def test_a_client_that_leaves_frees_its_place_at_once() -> None:
    readings = Readings(cast(Any, None), 60.0)
    futures = []
    with pytest.raises(BusyError):
        for number in range(WAITING + 1):
            futures.append(readings.ask("extract", {}, f"client {number}"))
    for future in futures:
        future.cancel()
    assert not readings.tasks and not len(readings.turns)
    readings.ask("extract", {}, "another")


def test_threads_that_start_processes_leave_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OFFLINE, raising=False)
    inside = threading.Barrier(2, timeout=0.3)

    def start() -> None:
        with offline(), suppress(threading.BrokenBarrierError):
            inside.wait()  # both are inside at a time, if they can be

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert OFFLINE not in os.environ and inside.broken


def test_what_never_began_can_end() -> None:
    """A service whose port is taken says that, and nothing of its threads."""
    Readings(cast(Any, None), 60.0).stop()
