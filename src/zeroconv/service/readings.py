"""Short tasks that somebody waits for: a process of their own reads pictures, so that a hostile one harms no job."""

import secrets
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from zeroconv.service.failure import BusyError, Failure, ServiceError
from zeroconv.service.process import WorkerProcess
from zeroconv.service.turns import Turns
from zeroconv.service.wait_times import WaitTimes

__all__ = ["Readings"]

GONE = (EOFError, OSError)
WAITING = 64  # tasks
POLL = 0.2  # seconds between looks at whether somebody still waits


@dataclass
class Task:
    """One task.

    Attributes:
        name: of `zeroconv.service.reading.TASKS`.
        values: for it.
        future: of its result.
        deadline: of `time.monotonic`.
    """

    name: str
    values: dict[str, Any]
    future: "Future[dict[str, Any]]"
    deadline: float


class Readings:
    """Does tasks one after the other, in turn between clients.

    Args:
        process: that does them.
        seconds: in which one must be done.
    """

    def __init__(self, process: WorkerProcess, seconds: float) -> None:
        self.process, self.seconds = process, seconds
        self.turns, self.times, self.tasks = Turns(WAITING), WaitTimes(), dict[str, Task]()
        self.thread = threading.Thread(target=self.run, name="readings", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def ask(self, name: str, values: dict[str, Any], client: str) -> "Future[dict[str, Any]]":
        """Ask for a task; its future raises `ServiceError`. Whoever does not wait any more cancels the future.

        Args:
            name: of the task.
            values: for it.
            client: whose turn it takes.

        Raises:
            BusyError: too many wait.
        """
        key, future = secrets.token_hex(8), Future[dict[str, Any]]()
        self.tasks[key] = Task(name, values, future, time.monotonic() + self.seconds)
        if not self.turns.add(key, client):
            del self.tasks[key]
            raise BusyError(f"{len(self.turns)} wait already", self.times.retry_after(len(self.turns) // 2))
        future.add_done_callback(lambda ended: self.forget(key) if ended.cancelled() else None)
        return future

    def forget(self, key: str) -> None:
        """Give up the place of a task for which nobody waits any more."""
        if self.turns.remove(key):
            del self.tasks[key]

    def run(self) -> None:
        """Do tasks until `stop`; in the process that does them another one takes the place of one that died."""
        while not self.turns.closed:
            self.revive()
            key = self.turns.take(1.0)
            if key is not None and (task := self.tasks.pop(key)).future.set_running_or_notify_cancel():
                begun = time.monotonic()
                try:
                    task.future.set_result(self.perform(task, key))
                except ServiceError as error:
                    task.future.set_exception(error)
                self.times.note(time.monotonic() - begun)
        self.process.close()
        for task in list(self.tasks.values()):
            task.future.cancel()

    def perform(self, task: Task, key: str) -> dict[str, Any]:
        """Do one task, and once more where the process was gone before it.

        Raises:
            ServiceError: why it came to nothing.
        """
        try:
            self.send(task, key)
            while time.monotonic() < task.deadline and not self.turns.closed:
                message = self.process.receive(POLL)
                if message is not None and message["job"] == key and message["event"] != "message":
                    if message["event"] == "done":
                        return dict(message["data"])
                    raise ServiceError(Failure(**message["data"]))
        except GONE:
            said = "the process that reads pictures ended while it read this one"
            raise ServiceError(Failure("worker-died", said), self.times.retry_after(0)) from None
        self.process.kill()
        raise ServiceError(Failure("deadline", f"it was not done within {self.seconds:g} s"))

    def send(self, task: Task, key: str) -> None:
        """Hand a task over; a process that died while nobody needed it is started again."""
        self.revive()
        self.process.send({"task": task.name, "job": key, "values": task.values})

    def revive(self) -> None:
        """Have a process, if there is none; where that fails it is tried again later."""
        if not self.process.is_alive():
            with suppress(*GONE):
                self.process.start()

    def stop(self) -> None:
        """End, the task that is being done included."""
        self.turns.close()
        if self.thread.is_alive():
            self.thread.join()
