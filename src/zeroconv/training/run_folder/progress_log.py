"""The losses of a run, each in the log and their running mean for a person."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zeroconv.training.events import Progress
from zeroconv.training.run_folder.folder import RunFolder

__all__ = ["ProgressLog"]

REMEMBERED = 0.98  # of the running mean after another step


class ProgressLog:
    """Keeps losses on the device until they are asked for, and writes every one of them to the log.

    Args:
        folder: of the run.
        steps: of the whole run.
        batch_size: samples in a step.
        rows: of the log so far, whose last mean is gone on from.
        report: called with every `Progress`.
        measure: what else belongs to a line of the log, such as the memory in use.
    """

    def __init__(
        self,
        folder: RunFolder,
        steps: int,
        batch_size: int,
        rows: Sequence[Mapping[str, Any]],
        report: Callable[[Progress], None],
        measure: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self.folder, self.steps, self.batch_size, self.report = folder, steps, batch_size, report
        self.measure = measure
        self.mean = next((row["loss"] for row in reversed(rows) if row["event"] == "progress"), None)
        self.unread: list[Tensor] = []
        self.start()

    def start(self) -> None:
        """Begin to measure the speed."""
        self.counted, self.started, self.elsewhere = 0, time.monotonic(), 0.0

    def add(self, loss: Tensor, gradient_norm: Tensor) -> None:
        """Take in a step."""
        self.unread.append(torch.stack([loss.float(), gradient_norm.float()]))
        self.counted += 1

    def write(self, step: int, report: bool = True) -> None:
        """Read the losses that are waiting, up to `step`, into the log, and report if asked to."""
        if not self.unread:
            return
        losses, norms = torch.stack(self.unread).T.tolist()
        self.unread.clear()
        for loss in losses:
            self.mean = loss if self.mean is None else REMEMBERED * self.mean + (1 - REMEMBERED) * loss
        assert self.mean is not None
        elapsed = time.monotonic() - self.started
        speed = self.batch_size * self.counted / max(elapsed - self.elsewhere, 1e-9)
        left = elapsed / self.counted * (self.steps - step)
        measured = {"samples_per_second": speed, "seconds_left": left, **self.measure()}
        self.folder.log("progress", step, loss=self.mean, **measured, losses=losses, gradient_norms=norms)
        if report:
            self.report(Progress(step, self.steps, self.mean, speed, left))

    def leave_out(self, seconds: float) -> None:
        """Seconds that were spent on something else than steps."""
        self.elsewhere += seconds
