"""The process of a training: `zeroconv train`, behind everything else on the machine. No other module starts a program."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["RunProcess"]

NICE = 10  # pictures come first
TAIL = 4096  # bytes of its last words


class RunProcess:
    """One process, which outlives the service if that is killed.

    Args:
        arguments: of `zeroconv`.
        output: a file for what it writes.
        threads: on a CPU.
        device: that it takes, as the service's settings call it.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, arguments: list[str], output: Path, threads: int, device: str | None = None) -> None:
        self.device, self.output = device, output
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zeroconv", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=file, env=environment, start_new_session=True,
            )  # fmt: skip
        self.pid = self.process.pid
        if hasattr(os, "setpriority"):
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self.pid, NICE)  # before it has threads, which inherit it

    def exit_code(self) -> int | None:
        """None while it goes on."""
        return self.process.poll()

    def last_words(self) -> str:
        """The last line that it wrote; empty if there is none."""
        with suppress(OSError):
            lines = self.output.read_bytes()[-TAIL:].decode("utf-8", "replace").splitlines()
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""

    def terminate(self) -> None:
        """Tell it to save its state and end."""
        self.process.terminate()

    def wait_until(self, end: float) -> None:
        """Wait for its end.

        Args:
            end: of `time.monotonic`, until which.
        """
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, end - time.monotonic()))
