"""What a user should know although nothing failed: one channel for all of it, each message with a code and said once."""

import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Listener", "Message", "MessageWarning", "listen", "tell"]

PASSED_OVER = (__name__.partition(".")[0], "contextlib", "torch")
"""Packages whose lines are not the caller's: this one, and those that wrap its functions."""


@dataclass(frozen=True)
class Message:
    """A sentence for a person, with a code for programs.

    Attributes:
        text: the sentence, in one line.
        code: what kind it is, in two parts: what it is about and what was found, such as "map.inverted" or
            "no-effect.window". It stays the same when the sentence is worded anew.
        level: "warning" for what probably is a mistake, "info" for what is merely worth knowing.
    """

    text: str
    code: str
    level: Literal["info", "warning"] = "warning"

    def __str__(self) -> str:
        """The sentence."""
        return self.text

    def line(self) -> str:
        """The sentence as a line of a log."""
        return f"warning: {self.text}" if self.level == "warning" else self.text

    def about(self, what: str) -> "Message":
        """The same message about something that has a name: "edges.png: this map looks inverted"."""
        return replace(self, text=f"{what}: {self.text}")

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return {"code": self.code, "level": self.level, "text": self.text}


class MessageWarning(UserWarning):
    """A message that nobody listened to, as a Python warning.

    Args:
        message: the message.
    """

    def __init__(self, message: Message) -> None:
        super().__init__(message.text)
        self.message = message


Listener = Callable[[Message], None]
LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell(message: Message) -> None:
    """Say something to whoever listens; if nobody does, warnings become Python warnings of the caller's line."""
    listener = LISTENER.get()
    if listener is not None:
        listener(message)
    elif message.level == "warning":
        warnings.warn(MessageWarning(message), stacklevel=levels_up())


@contextmanager
def listen(listener: Listener) -> Generator[None]:
    """Inside, every message goes to `listener`, each (code and text) once; other threads and tasks are not concerned.

    Args:
        listener: called with each message; one that itself calls `tell` reaches the listener around this one.
    """
    told: set[Message] = set()
    outer = LISTENER.get()

    def once(message: Message) -> None:
        if message not in told:
            told.add(message)
            inner = LISTENER.set(outer)
            try:
                listener(message)
            finally:
                LISTENER.reset(inner)

    token = LISTENER.set(once)
    try:
        yield
    finally:
        LISTENER.reset(token)


def levels_up() -> int:
    """How many calls above `tell` the package was entered, as `warnings.warn` counts them."""
    frame, levels = sys._getframe(1), 1  # of `tell`  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in PASSED_OVER:
        frame, levels = frame.f_back, levels + 1
    return levels
