"""A real worker process: its pictures are the library's, its death harms nobody, and it lets go within a step."""

import gc
import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.serving import PIXELS, Small
from zeroconv.data_uri import encode_png
from zeroconv.generation import BaseRequest, GenerationRequest, generate, open_base, save_images
from zeroconv.service import BusyError, Service, ServiceError
from zeroconv.service.pictures import PictureStore
from zeroconv.service.process import WorkerProcess

LONG = 900  # steps that take longer than any test


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="module")
def service(small: Small) -> Iterator[Service]:
    made = Service(small.settings())
    made.start()
    yield made
    made.stop(grace=0)


@pytest.fixture(scope="module")
def picture() -> str:
    image = Image.new("RGB", (PIXELS, PIXELS), "white")
    ImageDraw.Draw(image).rectangle((16, 16, 40, 48), fill="red")
    return encode_png(image)


def ask(small: Small, picture: str | None = None, **values: Any) -> GenerationRequest:
    controls = [] if picture is None else [{"network": small.control, "image": picture}]
    usual = {"prompt": "a red house", "controls": controls, "base": small.base, "num_inference_steps": 3, "seed": 5}
    return GenerationRequest.model_validate({**usual, **values})


def wait(service: Service, job: str, *states: str, seconds: float = 60) -> dict[str, Any]:
    """A job once it is in one of these states."""
    end = time.monotonic() + seconds
    while (found := service.board.describe(job))["state"] not in states:
        assert time.monotonic() < end, found
        time.sleep(0.01)
    return found


def wait_for_step(service: Service, job: str) -> None:
    end = time.monotonic() + 60
    while not service.board.describe(job)["step"]:
        assert time.monotonic() < end
        time.sleep(0.01)


def digests_by_library(small: Small, request: GenerationRequest, folder: Path) -> list[str]:
    base = open_base(BaseRequest(name=small.base, device="cpu"))
    saved = save_images(*generate(request, base), folder, base)
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in saved.pictures]


def test_pictures_are_the_librarys_alone_and_among_others(service: Service, small: Small, picture: str, tmp_path: Path) -> None:
    """By the SHA-256 of the whole file, metadata included."""
    request = ask(small, picture, num_images=2)
    alone = wait(service, service.submit(request, "a").id, "done", "failed")
    crowd = [service.submit(ask(small, picture, seed=i, num_inference_steps=2 + i % 3), f"c{i % 3}") for i in range(6)]
    among = service.submit(request, "b")
    results = [wait(service, job.id, "done", "failed") for job in (*crowd, among)]
    assert [one["state"] for one in results] == ["done"] * 7
    wanted = digests_by_library(small, request, tmp_path)
    for found in (alone, results[-1]):
        assert [one["picture"] for one in found["results"]] == wanted
        assert [one["seed"] for one in found["results"]] == [5, 6]
    for name in wanted:
        assert hashlib.sha256(service.pictures.read(name)).hexdigest() == name
    control = alone["results"][0]["controls"][0]
    assert control["measure"] == "edge F1" and 0 <= control["adherence"] <= 1
    assert service.pictures.path(control["map"]) and service.pictures.path(control["overlay"])
    kept = service.gallery.get(wanted[0])["request"]
    assert kept["controls"][0]["condition"] == f"picture:{control['map']}" and "image" not in kept["controls"][0]


def test_a_picture_enlarged_in_tiles_is_the_librarys(service: Service, small: Small, picture: str, tmp_path: Path) -> None:
    """What the page sends to enlarge a result: the same bytes as the library's, and the file says how it was made."""
    own: dict[str, Any] = {"init_image": picture, "strength": 0.7, "tile": PIXELS, "resize": "crop"}
    request = ask(small, picture, **own, size=(2 * PIXELS, 2 * PIXELS))
    found = wait(service, service.submit(request, "a").id, "done", "failed")
    assert [one["picture"] for one in found["results"]] == digests_by_library(small, request, tmp_path)
    made = found["results"][0]
    assert (made["width"], made["height"]) == (2 * PIXELS, 2 * PIXELS)
    recalled = service.read("recall", {"picture": made["picture"]}, "a").result(60)["request"]
    assert {name: recalled[name] for name in ("strength", "tile")} == {"strength": 0.7, "tile": PIXELS}
    assert recalled["size"] == [2 * PIXELS] * 2 and recalled["init_image"].startswith("picture:")


def test_what_happens_is_told_in_order(service: Service, small: Small, picture: str) -> None:
    job = service.submit(ask(small, picture, num_inference_steps=6), "a")
    wait(service, job.id, "done")
    names = [event.name for event in service.board.follow(job.id).after(0)]
    assert names[0] in ("queued", "started") and names[-2:] == ["result", "done"] and "preview" in names
    described = service.board.describe(job.id)
    assert (described["step"], described["steps"]) == (6, 6)


def test_a_job_that_runs_is_let_go_within_a_step(service: Service, small: Small) -> None:
    job = service.submit(ask(small, num_inference_steps=LONG), "a")
    wait_for_step(service, job.id)
    step, begun = service.board.describe(job.id)["step"], time.monotonic()
    assert service.board.cancel(job.id) == "cancelled" == service.board.describe(job.id)["state"]
    while service.runners[0].job == job.id:
        assert time.monotonic() < begun + 20
        time.sleep(0.002)
    assert service.board.follow(job.id).events[-1].name == "cancelled" and step < LONG / 2
    assert service.board.cancel(job.id) == "cancelled"
    assert wait(service, service.submit(ask(small), "a").id, "done")


def test_a_job_that_waits_is_never_begun(service: Service, small: Small) -> None:
    first = service.submit(ask(small, num_inference_steps=LONG), "a")
    wait_for_step(service, first.id)
    second = service.submit(ask(small), "a")
    assert service.board.describe(second.id)["position"] == 0
    assert service.board.cancel(second.id) == "cancelled" and service.board.cancel(first.id) == "cancelled"
    assert service.jobs.get(second.id).attempts == 0


def test_a_killed_worker_is_followed_by_another_and_the_job_is_done(service: Service, small: Small, tmp_path: Path) -> None:
    request = ask(small, num_inference_steps=40)
    before, job = service.runners[0].pid, service.submit(request, "a")
    wait_for_step(service, job.id)
    os.kill(before, signal.SIGKILL)
    found = wait(service, job.id, "done", "failed")
    assert found["state"] == "done" and [one["code"] for one in found["messages"]] == ["job.retried"]
    assert [one["picture"] for one in found["results"]] == digests_by_library(small, request, tmp_path)
    assert service.runners[0].pid != before and service.is_ready
    assert not list(service.pictures.incoming.iterdir())


def test_a_worker_that_dies_while_nobody_needs_it_is_followed_by_another(service: Service) -> None:
    before, begun = service.runners[0].pid, time.monotonic()
    os.kill(before, signal.SIGKILL)
    while service.runners[0].pid == before or not service.is_ready:
        assert time.monotonic() < begun + 30
        time.sleep(0.01)


def test_what_cannot_be_used_names_its_field(service: Service, small: Small, picture: str) -> None:
    job = service.submit(ask(small, None, size=[60, 60]), "a")
    found = wait(service, job.id, "failed")
    assert found["error"]["field"] == "size" and found["error"]["code"] == "input"
    start, _, content = picture.partition(",")
    torn = f"{start},{content[: len(content) // 8 * 4]}"
    found = wait(service, service.submit(ask(small, torn), "a").id, "failed")
    assert found["error"]["field"] == "controls.0.image" and "/" not in found["error"]["message"]


def test_maps_are_read_by_a_process_of_their_own(service: Service, small: Small, picture: str) -> None:
    stored = service.pictures.add_image(Image.new("RGB", (32, 24), "white"))
    values = {"condition": "canny", "image": stored.id, "parameters": {}, "width": None, "height": None, "resize": None}
    found = service.read("extract", values, "a").result(60)
    assert (found["width"], found["height"]) == (32, 24)
    found = service.read("check", {"condition": "canny", "map": stored.id}, "a").result(60)
    assert [(one["code"], one["remedy"]) for one in found["warnings"]] == [("map.inverted", "invert")]
    with pytest.raises(ServiceError) as caught:
        service.read("recall", {"picture": stored.id}, "a").result(60)
    assert caught.value.failure.field == "picture" and str(service.pictures.folder) not in str(caught.value)
    job = service.submit(ask(small, picture, seed=77), "a")
    made = wait(service, job.id, "done")["results"][0]
    recalled = service.read("recall", {"picture": made["picture"]}, "a").result(60)["request"]
    assert recalled["seed"] == 77 and recalled["controls"][0]["condition"].startswith("picture:")
    again = wait(service, service.submit(GenerationRequest.model_validate(recalled), "a").id, "done", "failed")
    assert [one["picture"] for one in again["results"]] == [made["picture"]]


def die() -> None:
    """In a worker: its first picture is its death."""
    PictureStore.adopt = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]


def run_out() -> None:
    """In a worker: memory runs out at every first attempt of a picture."""
    adopt, calls = PictureStore.adopt, [0]

    def adopt_second(store: PictureStore, part: Path, name: str | None = None) -> str:
        calls[0] += 1
        if name is None and calls[0] % 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return adopt(store, part, name)

    PictureStore.adopt = adopt_second  # type: ignore[method-assign]


def started(small: Small, name: str, prepare: Any = None, **limits: Any) -> Service:
    made = Service(small.settings(name, **limits))
    process = made.runners[0].process
    process.arguments = (*process.arguments[:4], prepare, process.arguments[5])
    made.start()
    return made


@pytest.mark.slow
def test_a_job_over_which_two_workers_die_has_failed(small: Small) -> None:
    service = started(small, "dying", die)
    try:
        found = wait(service, service.submit(ask(small), "a").id, "failed")
        assert (
            found["error"]["code"] == "worker-died" and found["results"] == [] and service.jobs.get(found["id"]).attempts == 2
        )
    finally:
        service.stop(grace=0)


@pytest.mark.slow
def test_a_picture_is_the_same_after_memory_ran_out(small: Small, tmp_path: Path) -> None:
    service = started(small, "short", run_out)
    try:
        found = wait(service, service.submit(ask(small), "a").id, "done", "failed")
        assert [one["picture"] for one in found["results"]] == digests_by_library(small, ask(small), tmp_path)
    finally:
        service.stop(grace=0)


def test_a_job_beyond_its_deadline_and_a_full_queue(small: Small) -> None:
    service = started(small, "late", seconds=1.5, queue=2)
    try:
        first = service.submit(ask(small, num_inference_steps=LONG, num_images=4), "a")
        wait_for_step(service, first.id)
        service.submit(ask(small), "a")
        with pytest.raises(BusyError) as caught:
            service.submit(ask(small), "a")
        assert caught.value.retry_after is not None and caught.value.retry_after >= 1
        found = wait(service, first.id, "failed")
        assert found["error"]["code"] == "deadline"
    finally:
        service.stop(grace=0)


def test_a_process_that_cannot_be_started_is_started_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise ConnectionResetError("what starts processes is gone")

    process = WorkerProcess(str(tmp_path), 0)
    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.process.BaseProcess.start", fail)
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                process.start()
            assert not process.is_alive()
    process.close()


def note_frozen(path: Path) -> None:
    """In a worker: how many objects its garbage collector leaves alone."""
    path.write_text(str(gc.get_freeze_count()), "utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked there")
def test_what_a_worker_shares_is_left_alone_by_its_garbage_collector(tmp_path: Path) -> None:
    process = WorkerProcess(str(tmp_path), 0, prepare=partial(note_frozen, tmp_path / "frozen"))
    process.start()
    process.close()
    assert int((tmp_path / "frozen").read_text("utf-8")) > 100_000


def test_nothing_is_lost_when_the_service_ends(small: Small) -> None:
    service = started(small, "restart")
    try:
        running = service.submit(ask(small, num_inference_steps=LONG, num_images=8), "a")
        wait_for_step(service, running.id)
        waiting = service.submit(ask(small), "a")
    finally:
        service.stop(grace=0)
    service = started(small, "restart")
    try:
        assert service.board.describe(running.id)["state"] in ("queued", "running")
        assert service.jobs.get(running.id).attempts <= 1
        wait_for_step(service, running.id)
        service.board.cancel(running.id)
        assert wait(service, waiting.id, "done")
    finally:
        service.stop(grace=0)


def test_workers_that_are_told_to_end_leave_that_to_the_service(small: Small) -> None:
    service = started(small, "told")
    try:
        for _ in range(2):  # a second one would be the job's end, were it counted
            running = service.submit(ask(small, num_inference_steps=LONG, num_images=8), "a")
            wait_for_step(service, running.id)
            pid = service.runners[0].pid
            os.kill(pid, signal.SIGTERM)
            step = service.board.describe(running.id)["step"]
            while service.board.describe(running.id)["step"] < step + 2:
                time.sleep(0.01)
            service.stop(grace=0)
            assert service.runners[0].pid == pid
            service = started(small, "told")
            assert service.jobs.get(running.id).attempts <= 1
            service.board.cancel(running.id)
    finally:
        service.stop(grace=0)
