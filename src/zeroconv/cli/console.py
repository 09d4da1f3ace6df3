"""What is said, and where: results on standard output, everything else on standard error."""

import json
import sys
import time
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from zeroconv.messages import Message, listen, tell

__all__ = ["Progress", "format_seconds", "hear_messages", "print_json", "say", "to_printable"]

QUIET_SECONDS = 5.0  # between two progress lines when nobody watches a terminal


def say(line: str) -> None:
    """One line on standard error."""
    print(line, file=sys.stderr, flush=True)


def to_printable(text: str) -> str:
    """One line of letters: what a stranger's file says may hold line breaks, or codes that steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


HEARD: ContextVar[list[Message] | None] = ContextVar("heard", default=None)
"""What the running command has said, for its JSON."""


@contextmanager
def hear_messages() -> Generator[None]:
    """Inside, every message is said in one line on standard error, once, and kept for `print_json`.

    So are the warnings that other libraries address to users.
    """
    heard: list[Message] = []

    def show(message: Message) -> None:
        heard.append(message)
        say(to_printable(message.line()))

    def show_warning(text: Warning | str, *_: Any, **__: Any) -> None:
        tell(Message(to_printable(str(text)), "library.warning"))

    token = HEARD.set(heard)
    try:
        with warnings.catch_warnings(), listen(show):
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = show_warning
            yield
    finally:
        HEARD.reset(token)


def print_json(report: dict[str, Any]) -> None:
    """The one JSON object of a command, with the messages it has said as `messages`.

    Numbers that are not finite are refused, JSON has none.
    """
    heard = HEARD.get()
    if heard is not None:
        report = {**report, "messages": [message.to_json() for message in heard]}
    print(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False), flush=True)


def format_seconds(seconds: float) -> str:
    """A duration as m:ss, or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Progress on standard error with the time left: one line that changes on a terminal, a line now and then in a log.

    Use it as a context manager, so that the line ends when the work does.

    Args:
        label: what is going on.
    """

    def __init__(self, label: str) -> None:
        self.label, self.live, self.open = label, sys.stderr.isatty(), False
        self.shown = time.monotonic()
        self.first: tuple[int, float] | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the line that changes, so that other lines can follow."""
        if self.open:
            print(file=sys.stderr, flush=True)
            self.open = False

    def __call__(self, done: int, total: int) -> None:
        """Say that `done` of `total` parts are done."""
        now = time.monotonic()
        self.first = self.first or (done, now)  # opening the weights is no step: time is counted from the first one on
        begun, since = self.first
        left = f", {format_seconds((now - since) / (done - begun) * (total - done))} left" if begun < done < total else ""
        self.show(f"{self.label} {done}/{total}{left}", last=done == total)

    def show(self, line: str, last: bool = False) -> None:
        """Show a line in place of the one before, or at least a few seconds after it."""
        if self.live:
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
            self.open = True
        elif last or time.monotonic() - self.shown > QUIET_SECONDS:
            say(line)
            self.shown = time.monotonic()
