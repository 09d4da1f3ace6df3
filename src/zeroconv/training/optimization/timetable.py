"""What is due after which step of a run."""

from dataclasses import dataclass

import torch

from zeroconv.training.config.train_config import TrainConfig

__all__ = ["Timetable"]

PROGRESS_EVERY = 10  # steps between progress events


@dataclass(frozen=True)
class Timetable:
    """Steps are counted from 1.

    Attributes:
        config: of the run.
        device: where it trains.
    """

    config: TrainConfig
    device: str

    def is_last(self, step: int) -> bool:
        """Whether the run ends with `step`."""
        return step == self.config.optimization.steps

    def is_progress_due(self, step: int) -> bool:
        """Whether progress is reported after `step`."""
        return step % PROGRESS_EVERY == 0 or self.is_last(step)

    def is_probe_due(self, step: int) -> bool:
        """Whether a probe belongs to `step`: the regular ones and the last."""
        return step % self.config.probe.every == 0 or self.is_last(step)

    def is_save_due(self, step: int) -> bool:
        """Whether the state is saved after `step`; the last one is saved when the run ends."""
        return step % self.config.checkpoint.every == 0

    def is_check_due(self, step: int) -> bool:
        """Whether losses are looked at before `step` is done: always where it costs nothing, else before they matter."""
        due = self.is_progress_due(step) or self.is_probe_due(step) or self.is_save_due(step)
        return due or torch.device(self.device).type == "cpu"
