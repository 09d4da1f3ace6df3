"""A worker process as the service holds it: started, spoken to, killed, started again."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from zeroconv.service.wire import receive, send

__all__ = ["WorkerProcess", "warm_up"]

PRELOADED = ["zeroconv.service.worker", "zeroconv.service.preloaded"]
OFFLINE = "HF_HUB_OFFLINE"
STARTING = threading.Lock()  # the environment is that of all threads
STOPPING = 2.0  # seconds until a worker that was told to stop is killed


def context() -> Any:
    """How processes are made: forked from one that has the libraries loaded, so that a new worker is there at once.

    Where there is no such thing (Windows) they are made from nothing.
    """
    way = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    found = multiprocessing.get_context(way)
    if way == "forkserver":
        found.set_forkserver_preload(PRELOADED)
    return found


@contextmanager
def offline() -> Generator[None]:
    """Processes that are made inside fetch nothing: what is not on this machine is not fetched for a request."""
    with STARTING:
        before = os.environ.get(OFFLINE)
        os.environ[OFFLINE] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[OFFLINE]
            else:
                os.environ[OFFLINE] = before


def warm_up() -> None:
    """Have the process from which workers are forked load its libraries, while this one loads its own."""
    if context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        with offline():
            forkserver.ensure_running()


def enter(*arguments: Any) -> None:
    """The main function of a worker process, whose libraries are loaded there alone."""
    from zeroconv.service.worker import run_worker

    run_worker(*arguments)


class WorkerProcess:
    """One process with a pipe.

    Args:
        folder: of the pictures.
        memory: bytes of networks that stay open.
        device: of torch; None is the best there is.
        threads: on a CPU.
        prepare: called first in the process, for tests.
        runs: the folder of the service's trainings, whose networks may be asked for.
    """

    def __init__(
        self,
        folder: str,
        memory: int,
        device: str | None = None,
        threads: int | None = None,
        prepare: Callable[[], None] | None = None,
        runs: str | None = None,
    ) -> None:
        self.arguments = (folder, memory, device, threads, prepare, runs)
        self.process: Any = None
        self.connection: Connection[Any, Any] | None = None
        self.sending = threading.Lock()

    def start(self) -> int:
        """Start it, in place of one that died, and wait until it listens.

        Returns:
            Its process id.

        Raises:
            EOFError: or `OSError`, it died at once.
        """
        self.close()
        made = context()
        ours, theirs = made.Pipe()
        process = made.Process(target=enter, args=(theirs, *self.arguments), daemon=True)
        self.connection = ours
        with offline(), closing(theirs):
            process.start()
        self.process = process  # one that was never started cannot be ended
        return int(receive(ours)["data"]["pid"])

    def send(self, message: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            OSError: it is not there any more.
        """
        with self.sending:
            if self.connection is None:
                raise BrokenPipeError
            send(self.connection, message)

    def is_alive(self) -> bool:
        """Whether it is there."""
        return self.process is not None and bool(self.process.is_alive())

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None when none came in time.

        Raises:
            EOFError: or `OSError`, it is not there any more.
        """
        if self.connection is None:
            raise EOFError
        return receive(self.connection) if self.connection.poll(seconds) else None

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            with suppress(ValueError, OSError):
                self.process.kill()
                self.process.join()

    def close(self) -> None:
        """End it: kindly, and if that takes too long at once."""
        if self.connection is not None:
            with suppress(OSError):
                self.send({"task": "stop"})
            self.connection.close()
            self.connection = None
        if self.process is not None:
            self.process.join(STOPPING)
            self.kill()
            self.process.join()
            self.process.close()
            self.process = None
