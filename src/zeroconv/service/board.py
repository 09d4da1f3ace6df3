"""Every job that waits or runs, as clients and workers see it: its place, its events, whether it is still wanted, its end."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from zeroconv.service.events import ENDS, EventLog, EventLogs
from zeroconv.service.failure import BusyError, Failure, MissingError
from zeroconv.service.gallery import Gallery
from zeroconv.service.jobs import Job, JobStore
from zeroconv.service.metrics import Metrics
from zeroconv.service.progress import Progress
from zeroconv.service.turns import Turns
from zeroconv.service.wait_times import WaitTimes

__all__ = ["ATTEMPTS", "JobBoard"]

ATTEMPTS = 2  # of a job whose worker dies, or whose server does
RETRIED = {"code": "job.retried", "text": "the worker died over this job: it is begun once more", "level": "warning"}
WORDS = {"running": "started"}
"""Events that say so, where they are not called as the state is."""
INTERRUPTED = Failure("interrupted", "the server ended twice while this job ran")


class JobBoard:
    """The jobs of a service. Clients and the threads of workers share it.

    Args:
        jobs: their rows.
        gallery: of their pictures.
        turns: in which they wait.
        times: what they take.
        metrics: that count them.
        seconds: from a job's arrival to its deadline.
    """

    def __init__(
        self, jobs: JobStore, gallery: Gallery, turns: Turns, times: WaitTimes, metrics: Metrics, seconds: float
    ) -> None:
        self.jobs, self.gallery, self.turns, self.times, self.metrics = jobs, gallery, turns, times, metrics
        self.seconds, self.logs = seconds, EventLogs()
        self.live: dict[str, Progress] = {}
        self.lock = threading.RLock()
        self.stop_at = float("inf")

    def add(self, client: str, request: dict[str, Any]) -> Job:
        """Queue a new job.

        Raises:
            BusyError: the queue has no place for this client.
            OSError: it cannot be kept.
        """
        with self.lock:
            self.require_room(client)
            job = self.jobs.add(client, request)
            self.wait(job, 1)
        return job

    def adopt(self, job: Job) -> None:
        """Queue a job of an earlier service: before all others if it had begun, else in its client's turn as before.

        One over which the service ended twice has failed.
        """
        with self.lock:
            self.logs.renew(job.id)
            if job.attempts >= ATTEMPTS:
                self.jobs.end(job.id, "failed", error=INTERRUPTED)
            else:
                self.jobs.put_back(job.id, job.attempts)
                self.wait(job, 0 if job.state == "running" else 1, had_place=True)

    def wait(self, job: Job, level: int, had_place: bool = False) -> None:
        """A job takes its place in the queue."""
        self.live[job.id] = Progress(time.monotonic() + self.seconds)
        log = self.logs.open(job.id)
        self.turns.add(job.id, job.client, level, had_place)
        log.add("queued", {"position": self.position(job.id) or 0})

    def require_room(self, client: str) -> None:
        """That a client may add a job.

        Raises:
            BusyError: it may not.
        """
        if not self.turns.has_room(client):
            self.metrics.count("zeroconv_refused_total")
            raise BusyError(f"{len(self.turns)} jobs wait already", self.times.retry_after(0))

    def position(self, job: str) -> int | None:
        """How many jobs are taken before this one; None for one that does not wait."""
        order = self.turns.order()
        return order.index(job) if job in order else None

    def begin(self, job: str, cancel: Callable[[], None]) -> Job | None:
        """A worker begins a job.

        Args:
            job: which.
            cancel: tells the worker to stop.

        Returns:
            The job as it stands now; None if it is not wanted any more.

        Raises:
            OSError: that cannot be kept.
        """
        with self.lock:
            progress = self.live.get(job)
            if progress is None or progress.is_cancelled:
                self.live.pop(job, None)
                return None
            begun = self.jobs.begin(job)
            if begun is None:  # another service has it
                self.live.pop(job)
                return None
            progress.cancel = cancel
        self.logs.open(job).add("started", {})
        for place, waiting in enumerate(self.turns.order()):
            if (log := self.logs.get(waiting)) is not None and log.followers:
                log.add("queued", {"position": place})
        return begun

    def note(self, job: str, event: str, data: dict[str, Any]) -> None:
        """Something happened to a job that runs.

        Raises:
            OSError: a picture cannot be kept.
        """
        progress = self.live[job]
        if event == "step":
            progress.step, progress.steps = data["step"], data["steps"]
            self.metrics.count("zeroconv_steps_total")
        elif event == "message":
            progress.messages.append(data)
        elif event == "result":
            request, data = data["request"], {name: value for name, value in data.items() if name != "request"}
            if not self.gallery.add(job, data, request):
                self.let_go(job)
                return
            self.metrics.count("zeroconv_pictures_total")
        self.logs.open(job).add(event, data)

    def end(self, job: str, state: str, error: Failure | None = None, seconds: float | None = None) -> None:
        """A job has ended.

        Args:
            job: which.
            state: "done", "failed" or "cancelled".
            error: why it failed.
            seconds: that it ran.

        Raises:
            ConnectionError: the database is away; nothing has changed.
            OSError: that cannot be kept, and all the same it has ended.
        """
        with self.lock:
            progress = self.live.pop(job, None)
            if progress is not None and not progress.is_cancelled:
                try:
                    self.close(job, state, progress.messages, error)
                except ConnectionError:
                    self.live[job] = progress
                    raise
        if state == "done" and seconds is not None:
            self.times.note(seconds)
            self.metrics.observe("zeroconv_job_seconds", seconds)

    def close(self, job: str, state: str, messages: list[dict[str, Any]], error: Failure | None = None) -> None:
        """Note the end of a job, and tell whoever follows it, even where a full disk does not keep the end."""
        try:
            self.jobs.end(job, state, messages, error)
        except ConnectionError:  # it is kept later, and told then
            raise
        except Exception:
            self.tell_end(job, state, error)
            raise
        self.tell_end(job, state, error)

    def tell_end(self, job: str, state: str, error: Failure | None) -> None:
        """Tell whoever follows a job that it has ended."""
        self.logs.open(job).add(state, {} if error is None else {"error": error.to_json()})
        self.metrics.count("zeroconv_jobs_total", state=state)

    def retry(self, job: Job) -> None:
        """A job whose worker died waits again, before all others."""
        self.jobs.put_back(job.id, job.attempts)
        with self.lock:
            progress = self.live[job.id]
            progress.cancel, progress.step, progress.messages = None, 0, [RETRIED]
        self.logs.open(job.id).add("message", RETRIED)
        self.turns.add(job.id, job.client, level=0)
        self.logs.open(job.id).add("queued", {"position": 0})

    def is_unwanted(self, job: str) -> bool:
        """Whether a job that runs was cancelled."""
        progress = self.live.get(job)
        return progress is None or progress.is_cancelled

    def is_late(self, job: str) -> bool:
        """Whether a job is beyond its deadline."""
        progress = self.live.get(job)
        return progress is not None and time.monotonic() > progress.deadline

    def cancel(self, name: str) -> str:
        """Have a job not done, or not any further.

        Returns:
            Its state then: "cancelled", or how it had ended before.

        Raises:
            MissingError: there is none.
            ConnectionError: the database is away; the job goes on.
        """
        self.jobs.get(name)  # before anything changes: a cancelled job whose row cannot say so would be begun anew
        with self.lock:
            progress = self.live.get(name)
            if progress is not None:
                progress.is_cancelled = True
                if progress.cancel is not None:
                    progress.cancel()
                if self.turns.remove(name):
                    self.live.pop(name)
                self.close(name, "cancelled", progress.messages)
            elif self.jobs.database.is_shared:
                self.jobs.cancel(name)
        return self.jobs.get(name).state

    def describe(self, name: str) -> dict[str, Any]:
        """A job as plain values, as it stands now.

        Raises:
            MissingError: there is none.
        """
        job, progress = self.jobs.get(name), self.live.get(name)
        values = {key: getattr(job, key) for key in ("id", "state", "created", "request", "results", "error")}
        log = self.logs.get(name) if progress is None else None
        told = next((event.data for event in log.events if event.name == "step"), None) if log is not None else None
        steps = {"step": progress.step, "steps": progress.steps} if progress is not None else told or {"step": 0, "steps": 0}
        messages = progress.messages if progress is not None else job.messages
        return {**values, **steps, "position": self.position(name), "messages": list(messages)}

    def follow(self, name: str) -> EventLog:
        """What happens to a job; of one that ended long ago, its messages, its results and its end.

        Raises:
            MissingError: there is none.
        """
        if (log := self.logs.get(name)) is not None:
            return log
        job = self.jobs.get(name)
        log = EventLog() if job.state in ENDS else self.logs.open(name)  # another service's; `look_around` goes on with it
        for event, rows in (("message", job.messages), ("result", job.results)):
            for data in rows:
                log.add(event, data)
        log.add(WORDS.get(job.state, job.state), {"error": job.error} if job.state == "failed" else {})
        return log

    def let_go(self, name: str) -> None:
        """A job that this service has is not its own any more, or was cancelled elsewhere."""
        with self.lock:
            progress = self.live.get(name)
            if progress is None or progress.is_cancelled:
                return
            progress.is_cancelled = True
            if progress.cancel is not None:
                progress.cancel()
            if self.turns.remove(name):
                self.live.pop(name)

    def look_around(self) -> None:
        """Let go of jobs that are not this service's any more, take up those that are, and tell followers of others'.

        Raises:
            OSError: the store cannot be read.
        """
        with self.lock:
            own = {job.id: job for job in self.jobs.unfinished()}
            for name in self.live.keys() - own.keys():
                self.let_go(name)
            for name, job in own.items():
                if name not in self.live:
                    self.adopt(job)
        for name, log in self.logs.unended():
            if name not in own:
                with suppress(MissingError):
                    catch_up(log, self.jobs.get(name))


def catch_up(log: EventLog, job: Job) -> None:
    """Tell the followers of a job what the store says of it by now."""
    told = sum(event.name == "result" for event in log.events)
    for result in job.results[told:]:
        log.add("result", result)
    if job.state in ENDS:
        log.add(job.state, {"error": job.error} if job.state == "failed" else {})
