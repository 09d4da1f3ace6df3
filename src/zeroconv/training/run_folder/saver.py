"""When the state of a run may be saved, and that it is."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.batches import Batches
from zeroconv.training.loop import TrainingLoss
from zeroconv.training.nonfinite import alone, find_nonfinite, in_batch
from zeroconv.training.optimization.weight_average import WeightAverage
from zeroconv.training.precision.loss_scale import LossScale
from zeroconv.training.processes import Processes
from zeroconv.training.run_folder.checkpoints import describe_file, size_of, write_manifest
from zeroconv.training.run_folder.folder import RunFolder
from zeroconv.training.run_folder.parts import read_parts_like, write_parts
from zeroconv.training.run_folder.state import find_parameter, gather_state

__all__ = ["Saver", "load_divided"]


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
        processes: that divide the state among them; None where the first one has all of it.

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
        processes: Processes | None = None,
    ) -> None:
        self.config, self.folder, self.loss, self.batches = config, folder, loss, batches
        self.optimizer, self.average, self.loss_scale, self.processes = optimizer, average, loss_scale, processes
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

        A state that is divided is written by all processes at once, before this returns.

        Raises:
            OSError: when the state before it could not be written, or a divided one cannot.
            PeerFailedError: when another process cannot write.
        """
        average, scale = self.average and self.average.tensors, self.loss_scale and self.loss_scale.tensors
        tensors = gather_state(self.loss.network, self.optimizer, average, scale)
        facts = {"config": self.config.to_toml()}
        if self.processes is not None:
            save_divided(self.folder, step, tensors, facts, self.processes)
        else:
            self.folder.sync_log()
            self.folder.checkpoints.save(step, tensors, facts)

    def check_weights(self, step: int) -> None:
        """Refuse to keep weights that give no finite loss on the batch after `step`: they would end the resumed run at once.

        Raises:
            FloatingPointError: naming what is not finite.
        """
        batch = self.batches(step, 0, self.config.optimization.batch_size)
        agree = alone if self.processes is None else self.processes.first_of
        if (found := find_nonfinite(self.loss, batch, agree)) and in_batch(batch) is None:
            good = self.folder.checkpoints.good
            kept = f"; the state of step {good[-1]} stays" if good else ""
            raise FloatingPointError(
                f"step {step}: the weights cannot be kept ({found} is not finite){kept}: lower learning_rate"
            )


def save_divided(
    run: RunFolder, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], processes: Processes
) -> None:
    """Write a state, each process its parts; a state of this step that is known to be whole stays. Errors as `Saver.save`.

    Args:
        run: the folder.
        step: optimizer steps done.
        tensors: by name.
        facts: plain values that belong to it.
        processes: that divide the tensors among them.
    """
    if processes.of_first(step in run.checkpoints.good):
        return
    part = Path()
    with ExitStack() as stack:
        with processes.together():
            if processes.is_first:
                run.sync_log()
                part = stack.enter_context(run.checkpoints.staged(step, size_of(tensors)))
        part = run.checkpoints.folder / processes.of_first(part.name)
        with processes.together():
            write_parts(part, tensors)
        with processes.together():
            mine = sorted(part.glob("*.safetensors"))[processes.rank :: processes.size]
            described = {path.name: describe_file(path) for path in mine}
        files = {name: one for each in processes.of_all(described) for name, one in each.items()}
        with processes.together():
            if processes.is_first:
                write_manifest(part, step, facts, {"files": files})
                stack.close()  # it gets its name


def load_divided(
    run: RunFolder,
    step: int | None,
    processes: Processes,
    network: nn.Module,
    restore: Callable[[Mapping[str, Tensor]], None],
) -> int:
    """Fill a divided network and all that belongs to it, each process its parts, from a state, divided or not.

    Args:
        run: the folder.
        step: of the state that the first process has verified; None without one.
        processes: that divide the tensors among them.
        network: that is trained.
        restore: fills everything from tensors by name.

    Returns:
        The step reached, 0 without a state.

    Raises:
        ValueError: when the state cannot be read, or is another network's.
    """
    step = processes.of_first(step)
    if step is None:
        return 0
    parameters = dict(network.named_parameters())
    restore(read_parts_like(run.checkpoints.place(step), lambda key: find_parameter(key, parameters)))
    return step
