"""The service: takes requests, has them done by its workers, and keeps what comes of them. Any server may stand before it."""

import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

from zeroconv.checkpoints.formats.controlnet_hints import split_condition
from zeroconv.checkpoints.hub.resolve import resolve
from zeroconv.errors import InputError, name_field
from zeroconv.generation import GenerationRequest
from zeroconv.service.board import JobBoard
from zeroconv.service.catalogue import Catalogue
from zeroconv.service.failure import Failure, ServiceError
from zeroconv.service.gallery import Gallery
from zeroconv.service.heartbeat import Heartbeat
from zeroconv.service.jobs import Job, JobStore
from zeroconv.service.metrics import Metrics
from zeroconv.service.pictures import PictureStore
from zeroconv.service.process import WorkerProcess
from zeroconv.service.readings import Readings
from zeroconv.service.requests import check_limits, check_names, check_own_size, check_text, map_pictures, store_picture
from zeroconv.service.run_folders import finish_deletions
from zeroconv.service.runner import Runner
from zeroconv.service.runs import Runs
from zeroconv.service.settings import ServiceSettings
from zeroconv.service.storage import Storage
from zeroconv.service.turns import Turns
from zeroconv.service.wait_times import WaitTimes

__all__ = ["Service"]

GRACE = 5.0  # seconds that a running job has to end in when the service stops
DAY = 24 * 3600.0
TIDYING = DAY / 4  # seconds between looks at what nobody needs any more
TRIMMING = 60.0  # seconds between looks at what is too much
UNUSED = 7 * DAY  # seconds after which a picture that nobody uses is deleted
FORGOTTEN = 30 * DAY  # and a job that has ended
LONGEST_START = 600.0  # seconds in which all networks must have been looked at


class Service:
    """Everything but HTTP.

    Args:
        settings: what it is started with.

    Raises:
        InputError: the folder holds something else, or another process serves it.
        OSError: it cannot be used.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.storage = Storage(settings.folder, settings.database)
        self.pictures, shared = PictureStore(settings.folder / "pictures"), (self.storage.database, self.storage.host)
        self.jobs, self.gallery = JobStore(*shared), Gallery(shared[0], self.pictures, shared[1])
        self.metrics, times = declare_metrics(), WaitTimes(len(settings.devices))
        turns, seconds = Turns(settings.limits.queue), settings.limits.seconds
        self.board = JobBoard(self.jobs, self.gallery, turns, times, self.metrics, seconds)
        self.heartbeat = Heartbeat(self.board) if self.storage.database.is_shared else None
        shared, runs = (str(self.pictures.folder), settings.memory), settings.folder / "runs"
        processes = [WorkerProcess(*shared, one, settings.threads, runs=str(runs)) for one in settings.devices]
        self.runners = [Runner(self.board, one) for one in processes]
        self.readings = Readings(WorkerProcess(*shared, "cpu", settings.threads), settings.limits.reading_seconds)
        self.catalogue: Catalogue | None = None
        self.runs = Runs(runs, dict(settings.data), settings.devices, settings.threads, self.fixed)
        self.stopping, self.tidying = threading.Event(), threading.Thread(target=self.keep_tidy, name="tidying", daemon=True)

    def start(self) -> Catalogue:
        """Start the workers, look at every network, and queue again what was not done when the service ended.

        Raises:
            InputError: a base or ControlNet cannot be opened.
            OSError: a worker cannot be started.
        """
        for index, name in enumerate(self.settings.bases):
            with name_field(f"base.{index}"):
                resolve(name, "base")  # fetched here if it is the hub's: workers fetch nothing
        for index, name in enumerate(self.settings.controls):
            with name_field(f"control.{index}"):
                resolve(split_condition(name)[0], "ControlNet")
        for runner in self.runners:
            runner.launch()
        self.catalogue = self.look(self.runners[0].process)
        if self.heartbeat is None:
            self.pictures.empty()
            self.board.look_around()
        else:
            self.heartbeat.start()
        self.tidy()
        self.readings.start()
        for runner in self.runners:
            runner.thread.start()
        self.tidying.start()
        return self.catalogue

    def tidy(self) -> None:
        """Delete jobs that ended long ago, and pictures that nobody uses.

        Raises:
            OSError: something cannot be read or deleted.
        """
        self.trim()
        self.jobs.forget(FORGOTTEN)
        self.pictures.sweep(self.gallery.used(), UNUSED)
        finish_deletions(self.settings.folder / "runs")

    def trim(self) -> None:
        """Delete the oldest pictures and jobs beyond the number that is kept.

        Raises:
            OSError: something cannot be read or deleted.
        """
        if (keep := self.settings.keep) is not None:
            self.gallery.trim(keep)
            self.jobs.trim(keep)

    def keep_tidy(self) -> None:
        """Tidy every now and then, until the service stops."""
        due = time.monotonic() + TIDYING
        while not self.stopping.wait(TRIMMING):
            with suppress(OSError, InputError):  # the next time may be better
                self.trim()
                if time.monotonic() > due:
                    due = time.monotonic() + TIDYING
                    self.tidy()

    def look(self, process: WorkerProcess) -> Catalogue:
        """What there is, as a worker sees it.

        Raises:
            InputError: something cannot be opened.
            OSError: the worker does not answer.
        """
        settings = self.settings
        values = {"bases": settings.bases, "controls": settings.controls, "device": settings.devices[0]}
        process.send({"task": "catalogue", "job": "catalogue", "values": values})
        message = process.receive(LONGEST_START)
        if message is None:
            raise OSError("the worker does not answer")
        if message["event"] == "failed":
            failure = Failure(**message["data"])
            raise InputError(failure.message, field=failure.field, hint=failure.hint)
        return Catalogue.from_json(message["data"])

    @property
    def is_ready(self) -> bool:
        """Whether every worker listens."""
        return self.catalogue is not None and not self.board.turns.closed and all(one.is_ready for one in self.runners)

    def known(self) -> Catalogue:
        """The catalogue, with the networks that runs have written by now.

        Raises:
            ServiceError: the service starts or stops.
        """
        found = self.fixed()
        return replace(found, controls=(*found.controls, *self.runs.controls(found.bases)))

    def fixed(self) -> Catalogue:
        """The catalogue without them.

        Raises:
            ServiceError: the service starts or stops.
        """
        if self.catalogue is None or self.board.turns.closed:
            raise ServiceError(Failure("unavailable", "the service starts or stops"), 2)
        return self.catalogue

    def submit(self, request: GenerationRequest, client: str) -> Job:
        """Queue a request.

        Args:
            request: its pictures are `data:` URIs or "picture:ID".
            client: whose turn it takes.

        Raises:
            InputError: it asks for what is not there, or for too much.
            BusyError: the queue has no place for this client.
            ServiceError: the service stops.
            OSError: it cannot be kept.
        """
        check_text(request)
        check_limits(request, self.settings.limits)
        request = check_names(request, self.known())
        self.board.require_room(client)
        stored = map_pictures(request, lambda picture, field: store_picture(picture, field, self.pictures))
        check_own_size(stored, self.pictures, self.settings.limits)
        return self.board.add(client, stored.model_dump(mode="json", exclude_defaults=True))

    def read(self, task: str, values: dict[str, Any], client: str) -> "Future[dict[str, Any]]":
        """Ask for a short task of `zeroconv.service.reading`; whoever does not wait any more cancels the future.

        Args:
            task: its name.
            values: for it.
            client: whose turn it takes.

        Raises:
            BusyError: too many wait.
        """
        return self.readings.ask(task, values, client)

    def metrics_text(self) -> str:
        """All numbers in Prometheus' text format."""
        return self.metrics.text(
            {
                "zeroconv_queue_jobs": len(self.board.turns),
                "zeroconv_running_jobs": sum(one.job is not None for one in self.runners),
                "zeroconv_workers_ready": sum(one.is_ready for one in self.runners),
                "zeroconv_followers": self.board.logs.followers(),
            }
        )

    def stop(self, grace: float = GRACE) -> None:
        """End. A job that runs has some time to end in; after that, and for those that wait, the next start is theirs.

        Args:
            grace: seconds for a job that runs.
        """
        self.board.stop_at = time.monotonic() + grace
        self.board.turns.close()
        self.stopping.set()
        if self.tidying.is_alive():
            self.tidying.join()
        self.readings.stop()
        self.runs.stop()
        for runner in self.runners:
            if runner.thread.is_alive():
                runner.thread.join()
            runner.process.close()
        if self.heartbeat is not None:
            self.heartbeat.stop()
        self.storage.close()


def declare_metrics() -> Metrics:
    """The metrics of a service."""
    found = Metrics()
    found.describe("zeroconv_jobs_total", "counter", "Jobs that have ended, by state.")
    found.describe("zeroconv_pictures_total", "counter", "Pictures that were made.")
    found.describe("zeroconv_steps_total", "counter", "Denoising steps that were done.")
    found.describe("zeroconv_refused_total", "counter", "Jobs for which the queue had no place.")
    found.describe("zeroconv_worker_restarts_total", "counter", "Workers that died and were started again.")
    found.describe("zeroconv_requests_total", "counter", "Answers to HTTP requests, by status.")
    found.describe("zeroconv_job_seconds", "histogram", "Seconds that a job ran.")
    found.describe("zeroconv_queue_jobs", "gauge", "Jobs that wait.")
    found.describe("zeroconv_running_jobs", "gauge", "Jobs that run.")
    found.describe("zeroconv_workers_ready", "gauge", "Workers that listen.")
    found.describe("zeroconv_followers", "gauge", "Connections that follow a job.")
    return found
