"""What is remembered of clients between their requests: the base that they chose, and the jobs that they wait for."""

import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeroconv.web.api.waiting import client_of

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["Client", "Clients", "RunningJob"]

KEPT = 1024  # clients


@dataclass(frozen=True)
class RunningJob:
    """A job that a client waits for.

    Attributes:
        id: its name.
        kind: "txt2img" or "img2img".
        begun: seconds since 1970.
    """

    id: str
    kind: str
    begun: float


@dataclass
class Client:
    """A client.

    Attributes:
        base: that it chose with the option "sd_model_checkpoint".
        jobs: that it waits for, in order.
    """

    base: str | None = None
    jobs: list[RunningJob] = field(default_factory=list[RunningJob])


class Clients:
    """All clients that came lately. Each has its own options, where the web UI has one set for everybody."""

    def __init__(self) -> None:
        self.known: OrderedDict[str, Client] = OrderedDict()

    def of(self, http: "Request") -> Client:
        """The client of a request."""
        name = client_of(http)
        found = self.known.setdefault(name, Client())
        self.known.move_to_end(name)
        if len(self.known) > KEPT:
            self.known.popitem(last=False)
        return found

    @contextmanager
    def running(self, client: Client, kind: str) -> Generator[Callable[[str], None]]:
        """While a client waits for a job; the job's name is told to what this gives."""
        jobs = list[RunningJob]()

        def begun(job: str) -> None:
            jobs.append(RunningJob(job, kind, time.time()))
            client.jobs.extend(jobs)

        try:
            yield begun
        finally:
            for job in jobs:
                client.jobs.remove(job)
