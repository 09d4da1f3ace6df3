"""The thread of one worker: takes jobs in turn, follows each to its end, and has another worker started when one dies."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from zeroconv.service.board import ATTEMPTS, JobBoard
from zeroconv.service.failure import Failure
from zeroconv.service.process import WorkerProcess

__all__ = ["Runner"]

GONE = (EOFError, OSError)
POLL = 0.1  # seconds between looks at the clock
PATIENCE = 20.0  # seconds in which a worker must have let go of a job that is not wanted
PAUSES = (0.0, 0.5, 2.0, 5.0)  # seconds before a worker that died at once is started again
Noted = TypeVar("Noted")
AWAY = {"code": "database.away", "text": "the database does not answer: this job goes on when it does", "level": "warning"}
DIED = Failure("worker-died", "the worker died over this job, twice", hint="try again with less at once")


class Runner:
    """Runs jobs on one worker.

    Args:
        board: the jobs.
        process: the worker.

    Attributes:
        job: the one that runs.
        pid: of the worker's process.
        is_ready: whether the worker listens.
    """

    def __init__(self, board: JobBoard, process: WorkerProcess) -> None:
        self.board, self.process = board, process
        self.job: str | None = None
        self.pid, self.is_ready = 0, False
        self.thread = threading.Thread(target=self.run, name="runner", daemon=True)

    def launch(self) -> None:
        """Have a worker, whatever happened to the one before.

        Raises:
            EOFError: or `OSError`, it died at once.
        """
        self.is_ready = False
        self.pid = self.process.start()
        self.is_ready = True

    def relaunch(self) -> None:
        """The worker died: have another."""
        self.board.metrics.count("zeroconv_worker_restarts_total")
        for pause in PAUSES:
            time.sleep(pause)
            if self.board.turns.closed:
                return
            with suppress(*GONE):
                self.launch()
                return

    def run(self) -> None:
        """Take jobs until no more are to be begun."""
        while not self.board.turns.closed:
            if not self.process.is_alive():
                self.relaunch()
            self.job = self.board.turns.take(5 * POLL)
            if self.job is not None:
                try:
                    self.follow(self.job)
                except ConnectionError:  # the service stops while the database is away: the next one runs the job
                    self.process.kill()
                except Exception as error:  # of the store, such as a full disk: the next job may do better
                    self.process.kill()
                    said = f"the server cannot keep the job: {type(error).__name__}"
                    with suppress(Exception):
                        self.board.end(self.job, "failed", Failure("storage", said))
                self.job = None
        self.is_ready = False
        self.process.close()

    def follow(self, job: str) -> None:
        """Have a job done, and note how it ends.

        Raises:
            OSError: that cannot be kept.
        """
        begun = self.keep(job, lambda: self.board.begin(job, lambda: self.cancel(job)))
        if begun is None:
            return
        attempts = begun.attempts
        try:
            self.process.send({"task": "generate", "job": job, "values": begun.request})
            end = self.listen(job)
        except GONE:
            self.relaunch()
            if self.board.is_unwanted(job):
                self.keep(job, lambda: self.board.end(job, "cancelled"))
            elif attempts < ATTEMPTS:
                self.keep(job, lambda: self.board.retry(begun))
            else:
                self.keep(job, lambda: self.board.end(job, "failed", DIED))
            return
        self.keep(job, lambda: self.finish(job, end, attempts))

    def keep(self, job: str, note: Callable[[], Noted]) -> Noted:
        """What noting something of a job gives. A database that is away is waited for, however long, and that is said once.

        Raises:
            ConnectionError: the service stops before it answers.
            OSError: it cannot be kept.
        """
        is_told = False
        while True:
            try:
                return note()
            except ConnectionError:
                if self.board.turns.closed:
                    raise
                if not is_told and not self.board.is_unwanted(job):
                    self.board.note(job, "message", AWAY)
                is_told = True
                time.sleep(POLL)

    def listen(self, job: str) -> dict[str, Any]:
        """Pass on what the worker says, until it is done.

        Returns:
            Its last message, with the seconds that it took.

        Raises:
            EOFError: or `OSError`, the worker died.
        """
        begun, told = time.monotonic(), float("inf")
        late = False
        while True:
            message = self.process.receive(POLL)
            now = time.monotonic()
            if message is not None and message["job"] == job:
                if message["event"] in ("done", "failed", "cancelled"):
                    return {**message, "late": late, "seconds": now - begun}
                if not self.board.is_unwanted(job):
                    self.keep(job, lambda event=message["event"], data=message["data"]: self.board.note(job, event, data))
            if told == float("inf"):
                late = self.board.is_late(job)
                if late or now > self.board.stop_at or self.board.is_unwanted(job):
                    told = now
                    self.cancel(job)
            elif now - told > PATIENCE:
                self.process.kill()

    def finish(self, job: str, end: dict[str, Any], attempts: int) -> None:
        """A worker is done with a job."""
        event = end["event"]
        if event == "cancelled" and end["late"]:
            said = f"it was not done within {self.board.seconds:g} s"
            self.board.end(job, "failed", Failure("deadline", said))
        elif event == "cancelled" and not self.board.is_unwanted(job):
            self.board.jobs.put_back(job, attempts - 1)  # the service stops, and the next one runs it
        elif event == "failed":
            self.board.end(job, "failed", Failure(**end["data"]))
        else:
            self.board.end(job, "cancelled" if self.board.is_unwanted(job) else event, seconds=end["seconds"])

    def cancel(self, job: str) -> None:
        """Tell the worker to let go of a job; one that is gone has."""
        with suppress(*GONE):
            self.process.send({"task": "cancel", "job": job})
