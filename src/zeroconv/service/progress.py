"""What is known of a job that has not ended, beside its row: its deadline, how far it is, whether it is wanted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Progress"]


@dataclass
class Progress:
    """What is known of a job that has not ended, beside its row.

    Attributes:
        deadline: of `time.monotonic`.
        cancel: tells the worker that runs it to stop; None while nobody runs it.
        is_cancelled: whether it is not wanted any more.
        step: denoising steps that are done, of all its pictures.
        steps: in all.
        messages: that were told.
    """

    deadline: float
    cancel: Callable[[], None] | None = None
    is_cancelled: bool = False
    step: int = 0
    steps: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
