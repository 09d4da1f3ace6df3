"""How a run is asked to stop: by a signal, or by a file called `stop` in its folder."""

import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["StopRequest", "Stopped"]

TOGETHER = 1.0  # seconds in which signals are one request: Ctrl-C reaches `torchrun` and its processes, which it then ends, too
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(BaseException):
    """Raised where nothing is lost by stopping at once; no `except Exception` catches it."""


class StopRequest:
    """Whether the run shall stop. Signals are heard inside `listening`, in the main thread alone.

    The first signal is kept until the step is done; a second one, later than `TOGETHER`, ends the process as if nobody had
    listened. A signal
    that the process was started to ignore (SIGINT after `nohup … &`) stays ignored; the file works there.

    Args:
        file: asks for a stop by being there; removed by `clear`.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.heard: str | None = None
        self.heard_at = 0.0
        self.at_once = False
        self.before: dict[int, Any] = {}

    def reason(self) -> str | None:
        """Why the run shall stop: a signal's name, or the file; None to go on."""
        if self.heard is None and self.file.exists():
            self.heard = f"the file {self.file}"
        return self.heard

    def clear(self) -> None:
        """Remove the file, so that the run can be resumed."""
        self.file.unlink(missing_ok=True)

    @contextmanager
    def listening(self) -> Generator[None]:
        """Hear signals until the block ends."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self.before[number] = signal.signal(number, self.hear)
        try:
            yield
        finally:
            self.restore()

    @contextmanager
    def interruptible(self) -> Generator[None]:
        """Inside, a signal raises `Stopped` at once, one that was heard before too.

        Raises:
            Stopped: when there is one.
        """
        self.at_once = True
        try:
            if self.heard is not None:
                raise Stopped
            yield
        finally:
            self.at_once = False

    def hear(self, number: int, _: FrameType | None) -> None:
        """Keep a signal; a later one is given back to whoever handled it before."""
        if self.heard is not None:
            if time.monotonic() - self.heard_at >= TOGETHER:
                self.restore()
                os.kill(os.getpid(), number)
            return
        self.heard_at = time.monotonic()
        self.heard = signal.Signals(number).name
        if self.at_once:
            raise Stopped

    def restore(self) -> None:
        """Hear no more signals."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before.clear()
