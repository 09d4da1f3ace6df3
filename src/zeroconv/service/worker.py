"""The process that computes: it is told what to do over a pipe, answers over it, and may die without harm to anybody else."""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from zeroconv.errors import InputError
from zeroconv.generation import GenerationRequest
from zeroconv.service.catalogue import read_catalogue
from zeroconv.service.failure import Failure, MissingError
from zeroconv.service.making import Maker
from zeroconv.service.models import ModelCache
from zeroconv.service.pictures import PictureStore
from zeroconv.service.reading import TASKS
from zeroconv.service.trained import TrainedControls
from zeroconv.service.wire import receive, send

__all__ = ["Worker", "run_worker"]

LINGER = 10.0  # seconds from a signal to end until a worker does so by itself
NO_MEMORY = Failure("out-of-memory", "the device is out of memory", hint="make fewer or smaller pictures at once")
UNEXPECTED = "unexpected {}: whoever runs the server finds more in its log"


class CancelledError(Exception):
    """The job that is running is not wanted any more."""


@dataclass
class Worker:
    """Does one task after the other.

    Attributes:
        connection: to the service.
        store: of pictures.
        models: that stay open.
        trained: the networks of the service's trainings.
        job: the task that is being done.
    """

    connection: "Connection[Any, Any]"
    store: PictureStore
    models: ModelCache
    trained: TrainedControls | None = None
    job: str = ""

    def run(self) -> None:
        """Do what is asked for until the service is gone, or says "stop"."""
        self.say("ready", {"pid": os.getpid()})
        while True:
            message = receive(self.connection)
            if message["task"] == "stop":
                return
            if message["task"] == "cancel":
                continue  # came after the end of its job
            self.job = message["job"]
            self.do(message)

    def do(self, message: dict[str, Any]) -> None:
        """One task, whose end is told whatever happens; when memory ran out, once more with nothing else in it."""
        maker = Maker(self.models, self.store, self.say, self.check, self.trained)
        for is_last in (False, True):
            try:
                self.say("done", self.perform(message["task"], message["values"], maker))
                return
            except CancelledError:
                self.say("cancelled", {})
                return
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or is_last:
                    self.fail(error)
                    return
            except Exception as error:
                self.fail(error)
                return
            self.models.clear()

    def perform(self, task: str, values: dict[str, Any], maker: Maker) -> dict[str, Any]:
        """What a task comes to."""
        if task == "generate":
            maker.make(GenerationRequest.model_validate(values))
            return {}
        if task == "catalogue":
            return read_catalogue(tuple(values["bases"]), tuple(values["controls"]), values["device"]).to_json()
        return TASKS[task](self.store, values)

    def check(self) -> None:
        """Look whether the job is still wanted.

        Raises:
            CancelledError: when it is not.
            OSError: when the service is gone.
        """
        while self.connection.poll():
            message = receive(self.connection)
            if message["task"] == "stop" or (message["task"] == "cancel" and message["job"] == self.job):
                raise CancelledError

    def say(self, event: str, data: dict[str, Any]) -> None:
        """Tell the service what happened."""
        send(self.connection, {"event": event, "job": self.job, "data": data})

    def fail(self, error: Exception) -> None:
        """Tell the service why the task came to nothing."""
        if isinstance(error, EOFError | BrokenPipeError | ConnectionError):
            raise error
        failure = describe(error)
        if failure.code == "internal":
            traceback.print_exception(error)
        self.say("failed", failure.to_json())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch's allocator on a CPU says so in a `RuntimeError`."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def describe(error: Exception) -> Failure:
    """An error for whoever sent the request; what a user cannot mend is not told in detail."""
    if isinstance(error, InputError):
        return Failure.of_input(error)
    if isinstance(error, MissingError):
        return error.failure
    if is_out_of_memory(error):
        return NO_MEMORY
    if isinstance(error, FloatingPointError):
        return Failure("not-finite", str(error))
    if isinstance(error, ValueError):
        return Failure("input", " ".join(str(error).split()))
    if isinstance(error, OSError):
        return Failure("storage", f"the server cannot read or write its files: {error.strerror or type(error).__name__}")
    return Failure("internal", UNEXPECTED.format(type(error).__name__))


def end_later() -> None:
    """End in a while: whoever ends a service may tell all its processes, and it ends its workers itself, in order."""
    timer = threading.Timer(LINGER, os._exit, (128 + signal.SIGTERM,))
    timer.daemon = True
    timer.start()


def run_worker(
    connection: "Connection[Any, Any]",
    folder: str,
    memory: int,
    device: str | None,
    threads: int | None,
    prepare: Callable[[], None] | None = None,
    runs: str | None = None,
) -> None:
    """The main function of a worker process.

    Args:
        connection: to the service.
        folder: of the pictures.
        memory: bytes of networks that stay open.
        device: of torch.
        threads: on a CPU.
        prepare: called before anything else, for tests.
        runs: the folder of the service's trainings.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends its workers
    signal.signal(signal.SIGTERM, lambda *_: end_later())
    if threads is not None:
        torch.set_num_threads(threads)
    if prepare is not None:
        prepare()
    with suppress(EOFError, BrokenPipeError, ConnectionError):  # the service is gone
        trained = None if runs is None else TrainedControls(Path(runs))
        Worker(connection, PictureStore(Path(folder)), ModelCache(memory, device), trained).run()
