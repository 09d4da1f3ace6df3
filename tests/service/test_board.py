"""The board without workers: turns outlive a restart and a worker's death, and an end is told even where it cannot be kept."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from zeroconv.database import create_database, database_exists, open_database
from zeroconv.database.interface import AwayError
from zeroconv.service.board import JobBoard
from zeroconv.service.gallery import Gallery
from zeroconv.service.jobs import JobStore
from zeroconv.service.pictures import PictureStore
from zeroconv.service.runner import Runner
from zeroconv.service.schema import SERVICE
from zeroconv.service.service import declare_metrics
from zeroconv.service.turns import Turns
from zeroconv.service.wait_times import WaitTimes

Make = Callable[..., JobBoard]


@pytest.fixture
def board(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> Make:
    """Makes boards of services that share a database."""

    def make(capacity: int = 256, host: str = "") -> JobBoard:
        database = (open_database if database_exists(place, SERVICE) else create_database)(place, SERVICE)
        request.addfinalizer(database.close)
        gallery = Gallery(database, PictureStore(tmp_path / "pictures"), host)
        return JobBoard(JobStore(database, host), gallery, Turns(capacity), WaitTimes(), declare_metrics(), 60.0)

    return make


def take(made: JobBoard) -> str:
    job = made.turns.take(0)
    assert job is not None and made.begin(job, lambda: None) is not None
    return job


def test_clients_take_turns_after_a_restart_too(board: Make) -> None:
    first = board()
    for _ in range(20):
        first.add("greedy", {})
    begun = take(first)
    first.jobs.database.close()
    second = board(capacity=4)  # what had a place keeps it
    for job in second.jobs.unfinished():
        second.adopt(job)
    assert len(second.turns) == 20 and second.position(begun) == 0
    second.turns.queue.capacity = 64
    modest = second.add("modest", {}).id
    assert take(second) == begun and take(second) == modest


def test_a_client_whose_worker_died_gives_its_turn_to_the_next(board: Make) -> None:
    made = board()
    for client in ("a", "a", "b"):
        made.add(client, {})
    job = made.jobs.get(take(made))
    made.retry(job)
    assert take(made) == job.id
    assert made.jobs.get(take(made)).client == "b"


def test_followers_learn_of_an_end_that_cannot_be_kept(board: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no space left on device")

    made = board()
    name = made.add("a", {}).id
    log = made.follow(take(made))
    monkeypatch.setattr(made.jobs, "end", fail)
    with pytest.raises(OSError, match="no space"):
        made.end(name, "done")
    assert log.ended


def fail_at_first(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, times: int) -> None:
    """Have a method find the database away at first."""
    method, tries = getattr(owner, name), list[int]()

    def call(*args: Any) -> Any:
        tries.append(1)
        if len(tries) <= times:
            raise AwayError("the database does not answer")
        return method(*args)

    monkeypatch.setattr(owner, name, call)


def test_a_job_waits_for_a_database_that_is_away(board: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = board()
    runner = Runner(made, cast(Any, None))  # nothing here asks a worker
    name = take_new(made)
    log = made.follow(name)
    fail_at_first(monkeypatch, made.gallery, "add", 2)
    fail_at_first(monkeypatch, made.jobs, "end", 2)
    runner.keep(name, lambda: made.note(name, "result", result(1)))
    with pytest.raises(AwayError):
        made.end(name, "done")
    assert not log.ended and not made.is_unwanted(name) and made.describe(name)["state"] == "running"
    runner.keep(name, lambda: made.end(name, "done"))
    said = [event.data.get("code", event.name) for event in log.events]
    assert said == ["queued", "started", "database.away", "result", "database.away", "done"]
    assert made.jobs.get(name).state == "done" and len(made.gallery.find().pictures) == 1


def test_a_cancellation_that_cannot_be_kept_changes_nothing(board: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = board()
    name = take_new(made)
    fail_at_first(monkeypatch, made.jobs, "get", 1)
    with pytest.raises(AwayError):
        made.cancel(name)
    assert not made.is_unwanted(name)
    assert made.cancel(name) == "cancelled" and made.is_unwanted(name)


def take_new(made: JobBoard) -> str:
    made.add("a", {})
    return take(made)


def result(number: int) -> dict[str, Any]:
    """A result, with what makes it."""
    request = {"prompt": "a"}
    return {"picture": f"{number:064}", "seed": number, "width": 8, "height": 8, "controls": [], "request": request}


def test_the_jobs_of_a_service_that_ended_are_done_by_one_other(board: Make) -> None:
    dead, second, third = (board(host=name) for name in ("dead", "second", "third"))
    for one in (dead, second, third):
        one.jobs.beat()
    names = [dead.add("a", {}).id for _ in range(4)]
    assert take(dead) == names[0]
    second.jobs.take_over(60.0)  # it lives
    assert second.jobs.unfinished() == [] and len(dead.jobs.unfinished()) == 4
    with dead.jobs.database.write() as change:
        change.execute("UPDATE host SET seen = seen - 100 WHERE id = ?", ("dead",))
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda one: one.jobs.take_over(60.0), (second, third)))
    second.look_around()
    third.look_around()
    second, third = (second, third) if second.live else (third, second)  # whoever came first
    assert [job.id for job in second.jobs.unfinished()] == names and not third.live
    assert take(second) == names[0]  # what had begun comes first
    second.note(names[0], "result", result(1))
    dead.note(names[0], "result", result(2))  # it was not dead, but slow
    dead.end(names[0], "failed")
    assert dead.is_unwanted(names[0])
    second.end(names[0], "done")
    found = third.describe(names[0])
    assert found["state"] == "done" and [one["seed"] for one in found["results"]] == [1]
    assert [one["seed"] for one in third.gallery.find().pictures] == [1]
    assert dead.turns.take(0) == names[1] and dead.begin(names[1], lambda: None) is None
    dead.look_around()
    assert not dead.live and not len(dead.turns)


def test_a_job_over_which_two_services_died_has_failed(board: Make) -> None:
    first, second, third = (board(host=name) for name in ("1", "2", "3"))
    name = first.add("a", {}).id
    take(first)
    second.jobs.take_over(60.0)
    second.look_around()
    take(second)
    third.jobs.take_over(60.0)
    third.look_around()
    found = third.describe(name)
    assert found["state"] == "failed" and found["error"]["code"] == "interrupted" and not third.live


def test_a_service_follows_and_cancels_the_jobs_of_another(board: Make) -> None:
    first, second = board(host="1"), board(host="2")
    told = list[str]()
    name = first.add("a", {}).id
    if not first.jobs.database.is_shared:  # a file is one service's
        return
    take(first)
    log = second.follow(name)
    log.follow(lambda: told.append(log.events[-1].name))
    first.note(name, "result", result(1))
    second.look_around()
    assert second.cancel(name) == "cancelled"
    second.look_around()
    first.look_around()
    assert told == ["result", "cancelled"] and first.is_unwanted(name)
    first.end(name, "done")
    assert second.describe(name)["state"] == "cancelled"


def test_what_could_not_be_kept_when_the_database_was_away_is_done_again(board: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("away")

    made = board(host="1")
    name = made.add("a", {}).id
    with monkeypatch.context() as patch, pytest.raises(OSError, match="away"):
        patch.setattr(made.jobs, "end", fail)
        made.end(take(made), "failed")
    made.look_around()
    assert not made.follow(name).ended and take(made) == name
