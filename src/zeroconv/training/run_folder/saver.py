"""When the state of a run may be saved, and that it is."""

import torch

from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.batches import Batches
from zeroconv.training.loop import TrainingLoss
from zeroconv.training.nonfinite import find_nonfinite, in_batch
from zeroconv.training.optimization.weight_average import WeightAverage
from zeroconv.training.precision.loss_scale import LossScale
from zeroconv.training.run_folder.folder import RunFolder
from zeroconv.training.run_folder.state import gather_state

__all__ = ["Saver"]


class Saver:
    """Keeps what resuming needs.

    Args:
        config: of the run.
        folder: of the run.
        loss: of the network that learns.
        optimizer: of its parameters.
        average: of its weights, if there is one.
        batches: of the run.
        loss_scale: of float16.

    Attributes:
        is_updating: an update was begun and not yet counted: network and optimizer may be half made.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        loss: TrainingLoss,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage | None,
        batches: Batches,
        loss_scale: LossScale | None = None,
    ) -> None:
        self.config, self.folder, self.loss, self.batches = config, folder, loss, batches
        self.optimizer, self.average, self.loss_scale = optimizer, average, loss_scale
        self.is_updating = False
        optimizer.register_step_pre_hook(self.begin_update)

    def begin_update(self, *_: object) -> None:
        """Called by the optimizer before each update."""
        self.is_updating = True

    def is_state_whole(self) -> bool:
        """Whether network and optimizer are those of whole updates, and finite."""
        return not self.is_updating and all(bool(p.isfinite().all()) for p in self.loss.network.parameters())

    def save(self, step: int) -> None:
        """Begin to write the state of a step; the log of the steps before is on the disk first.

        Raises:
            OSError: when the state before it could not be written.
        """
        self.folder.sync_log()
        average, scale = self.average and self.average.tensors, self.loss_scale and self.loss_scale.tensors
        tensors = gather_state(self.loss.network, self.optimizer, average, scale)
        self.folder.checkpoints.save(step, tensors, {"config": self.config.to_toml()})

    def check_weights(self, step: int) -> None:
        """Refuse to keep weights that give no finite loss on the batch after `step`: they would end the resumed run at once.

        Raises:
            FloatingPointError: naming what is not finite.
        """
        batch = self.batches(step, 0, self.config.optimization.batch_size)
        if (found := find_nonfinite(self.loss, batch)) and in_batch(batch) is None:
            good = self.folder.checkpoints.good
            kept = f"; the state of step {good[-1]} stays" if good else ""
            raise FloatingPointError(
                f"step {step}: the weights cannot be kept ({found} is not finite){kept}: lower learning_rate"
            )
