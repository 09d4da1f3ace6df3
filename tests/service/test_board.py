"""The board without workers: turns outlive a restart and a worker's death, and an end is told even where it cannot be kept."""

from pathlib import Path
from typing import Any

import pytest

from zeroconv.database import Database
from zeroconv.service.board import JobBoard
from zeroconv.service.gallery import Gallery
from zeroconv.service.jobs import JobStore
from zeroconv.service.pictures import PictureStore
from zeroconv.service.schema import SERVICE
from zeroconv.service.service import declare_metrics
from zeroconv.service.turns import Turns
from zeroconv.service.wait_times import WaitTimes


def board(folder: Path, capacity: int = 256) -> JobBoard:
    path = folder / "service.sqlite"
    database = Database(path, SERVICE) if path.exists() else Database.create(path, SERVICE)
    gallery = Gallery(database, PictureStore(folder / "pictures"))
    return JobBoard(JobStore(database), gallery, Turns(capacity), WaitTimes(), declare_metrics(), 60.0)


def take(made: JobBoard) -> str:
    job = made.turns.take(0)
    assert job is not None and made.begin(job, lambda: None) is not None
    return job


def test_clients_take_turns_after_a_restart_too(tmp_path: Path) -> None:
    first = board(tmp_path)
    for _ in range(20):
        first.add("greedy", {})
    begun = take(first)
    first.jobs.database.close()
    second = board(tmp_path, capacity=4)  # what had a place keeps it
    for job in second.jobs.unfinished():
        second.adopt(job)
    assert len(second.turns) == 20 and second.position(begun) == 0
    second.turns.queue.capacity = 64
    modest = second.add("modest", {}).id
    assert take(second) == begun and take(second) == modest


def test_a_client_whose_worker_died_gives_its_turn_to_the_next(tmp_path: Path) -> None:
    made = board(tmp_path)
    for client in ("a", "a", "b"):
        made.add(client, {})
    job = made.jobs.get(take(made))
    made.retry(job)
    assert take(made) == job.id
    assert made.jobs.get(take(made)).client == "b"


def test_followers_learn_of_an_end_that_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    made = board(tmp_path)
    name = made.add("a", {}).id
    log = made.follow(take(made))
    monkeypatch.setattr(made.jobs, "end", fail)
    with pytest.raises(OSError, match="no space"):
        made.end(name, "done")
    assert log.ended
