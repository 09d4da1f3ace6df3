"""TensorBoard: event files in the run folder's `tensorboard/`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zeroconv.images import open_image

__all__ = ["TensorBoardTracker"]


class TensorBoardTracker:
    """Event files, which `tensorboard --logdir RUN` shows."""

    rewinds = True

    def __init__(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.new_writer = SummaryWriter

    def open(self, name: str, folder: Path, settings: Mapping[str, Any], step: int) -> None:
        """As `Tracker.open`; events of later steps, which an interrupted run left, are marked as void."""
        self.writer: Any = self.new_writer(str(folder / "tensorboard"), purge_step=step + 1 if step else None)
        if not step:
            self.writer.add_text("settings", f"```json\n{json.dumps(settings, indent=2, default=str)}\n```", 0)

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """As `Tracker.log`."""
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, step)
        self.writer.flush()  # a killed run has said all that its log says

    def show(self, step: int, name: str, picture: Path) -> None:
        """As `Tracker.show`."""
        self.writer.add_image(name, np.asarray(open_image(picture).convert("RGB")), step, dataformats="HWC")
        self.writer.flush()

    def close(self) -> None:
        """As `Tracker.close`."""
        self.writer.close()
