"""What a worker is told about the work, in whichever process it is."""

from dataclasses import dataclass
from pathlib import Path

import torch

from zeroconv.data.prepared.maker import ShardMaker
from zeroconv.data.prepared.manifest import Settings

__all__ = ["Job"]


@dataclass(frozen=True)
class Job:
    """What workers are told once.

    Attributes:
        settings: of the whole.
        folder: of the shards; every worker must see it, and the data set, under the same path.
        device: where is encoded; the GPUs behind "cuda" are divided among the workers.
    """

    settings: Settings
    folder: Path
    device: str = "cpu"

    def maker(self, worker: int = 0) -> ShardMaker:
        """A maker for one worker."""
        count = torch.cuda.device_count() if self.device == "cuda" else 0
        return ShardMaker(self.settings, self.folder, f"cuda:{worker % count}" if count else self.device)
