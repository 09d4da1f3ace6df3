"""What learns, and on what: the locked base, the control, the loss, the optimizer, and what is averaged."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.optimization.weight_average import WeightAverage
from zeroconv.training.parts import build_loss, build_optimizer, check_packing, check_size, encoders_of, lock_and_build
from zeroconv.training.precision.loss_scale import LossScale
from zeroconv.training.processes import Processes
from zeroconv.training.run_folder.state import restore_state, strip_prefix
from zeroconv.training.sharding import divide

__all__ = ["Learner"]


class Learner:
    """Everything that an optimizer step changes, and the base that it leaves alone.

    Args:
        config: the settings.
        opened: the base, in float32.
        processes: that train together.
        size: width and height of the pictures in pixels.

    Attributes:
        base: in the type that its weights are kept in.
        encoders: the same as it encodes pictures and prompts.
        network: the ControlNet that learns.
        loss: of a batch.
        shards: of the networks, where processes divide them.
        optimizer: of the network's parameters.
        average: of its weights, if there is one.
        loss_scale: of float16.

    Raises:
        InputError: for settings that do not fit the base, the pictures or each other.
    """

    def __init__(self, config: TrainConfig, opened: StableDiffusion, processes: Processes, size: tuple[int, int]) -> None:
        optimization = config.optimization
        processes.check_batch(optimization.batch_size, optimization.accumulation)
        device = processes.device(optimization.device)
        self.base, network = lock_and_build(config, opened)
        check_size(config, self.base, size)
        check_packing(config, self.base)
        self.network = network.to(device).train()
        self.network.check_base(self.base.unet)
        self.encoders = encoders_of(self.base)
        self.loss = build_loss(config, self.base, self.network, device)
        self.shards = divide(self.loss, processes, config)  # optimizer and average are of the parts
        self.optimizer = build_optimizer(self.network, optimization, self.base)
        average = self.network, optimization.ema_decay, optimization.ema_on_cpu
        self.average = WeightAverage(*average) if optimization.ema_decay else None
        self.loss_scale = LossScale() if optimization.precision == "fp16" else None

    @property
    def learnt(self) -> tuple[Any, Any, Any]:
        """Network, optimizer and averaged weights, as states are made of them."""
        return self.network, self.optimizer, self.average and self.average.tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Fill all of it from a state.

        Raises:
            ValueError: when the state is another network's.
        """
        restore_state(tensors, *self.learnt)
        if self.loss_scale is not None:
            self.loss_scale.load(strip_prefix(tensors, "loss_scale."))
