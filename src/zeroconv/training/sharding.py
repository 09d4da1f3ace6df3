"""Networks divided over processes (FSDP2, `fully_shard`): each holds a part of every tensor, and gathers a layer to use it.

Y. Zhao et al., *PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel*, 2023, arXiv 2304.11277.
"""

import copy
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.generation import ControlPipeline
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.divided_tensors import whole
from zeroconv.training.loop import ENCODER, TrainingLoss
from zeroconv.training.optimization.weight_average import WeightAverage
from zeroconv.training.precision.compute_copy import ComputeCopy, NarrowCalls
from zeroconv.training.precision.dtypes import NAMES, base_dtype, compute_dtype
from zeroconv.training.precision.recomputation import recompute_blocks
from zeroconv.training.probing.probe import Probe
from zeroconv.training.processes import Processes

__all__ = ["Shards", "divide", "probed_network"]

Network = TypeVar("Network", bound=nn.Module)
UNDIVIDED = {
    "adamw8bit": "scales blocks of a weight's moments that parts would cut",
    "prodigy": "finds one learning rate from sums over all weights, of which a process has parts",
}
LAYERS = ("resnets", "attentions", "transformer_blocks")  # lists of layers that are gathered one by one


class Shards:
    """The networks of a loss, divided; whoever runs the loss does so in every process at once.

    Made before optimizer and averages, which then hold parts alike.

    Args:
        loss: of the control on its base; its parameters become parts, in place.
        processes: that share it.
        what: the control alone, or all: the base's U-Net too.
        dtype: that the control computes in; its parts stay in float32, and gradients are summed in it.
    """

    def __init__(
        self, loss: TrainingLoss, processes: Processes, what: Literal["control", "all"], dtype: torch.dtype = torch.float32
    ) -> None:
        self.loss, self.processes = loss, processes
        self.forms: dict[str, nn.Module] = {"network": without_memory(loss.network)}
        mesh = init_device_mesh(next(loss.network.parameters()).device.type, (processes.size,))
        if what == "all":
            self.forms["unet"] = without_memory(loss.unet.unet)
        left_whole = set(loss.unet.parameters()) if what == "control" else set[nn.Parameter]()
        is_narrow = dtype != torch.float32  # inputs are cast where they enter the network, and the batch stays as it is
        policy = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False) if is_narrow else MixedPrecisionPolicy()
        for layer in (*layers_of(loss.network), *(() if left_whole else layers_of(loss.unet.unet))):
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        # the rest of both; divided again after each use, so that nobody meets weights of before an update
        fully_shard(loss, mesh=mesh, reshard_after_forward=True, mp_policy=policy, ignored_params=left_whole)

    @contextmanager
    def gathered(self, probe: Probe) -> Generator[ControlNet]:
        """In the first process the whole control, and the probe on a whole base; in the others what they had.

        Every process must come here: the parts are sent to the first one, which holds everything until the block ends.
        """
        network = self.gather(self.loss.network, "network")
        unet = self.gather(self.loss.unet.unet, "unet") if "unet" in self.forms else None
        before, held_out_loss = probe.pipeline, probe.held_out_loss
        if unet is not None:
            whole_base = copy.copy(before.base)
            whole_base.unet = unet
            probe.pipeline = ControlPipeline(whole_base).optimize(runtime="torch")
            if held_out_loss is not None:
                held_out_loss.base = whole_base
        try:
            yield network or self.loss.network
        finally:
            probe.pipeline = before
            if held_out_loss is not None:
                held_out_loss.base = before.base

    def gather(self, network: Network, form: str) -> Network | None:
        """A whole copy of a divided network, in the first process."""
        tensors: dict[str, Tensor] = {}
        for name, tensor in network.state_dict().items():
            full = whole(tensor)
            if self.processes.is_first:
                tensors[name] = full
        if not self.processes.is_first:
            return None
        filled = copy.deepcopy(self.forms[form])
        filled.load_state_dict(tensors, assign=True)
        assert isinstance(filled, nn.Module)
        return filled  # type: ignore[return-value]  # of the class that the network had before it was divided


@contextmanager
def probed_network(
    network: ControlNet, average: WeightAverage | None, shards: Shards | None, probe: Probe
) -> Generator[ControlNet]:
    """The network as it is probed: whole, with averaged weights if there are any. Every process must come here.

    Args:
        network: that is trained.
        average: of its weights.
        shards: of it, if it is divided; only the first process then has it whole.
        probe: of the run.
    """
    with (
        average.in_use() if average is not None else nullcontext(),
        shards.gathered(probe) if shards else nullcontext(network) as found,
    ):
        yield found


def divide(loss: TrainingLoss, processes: Processes, config: TrainConfig) -> Shards | None:
    """The networks of a loss, divided as the settings ask for; None where each process holds all of them, as one alone does.

    Raises:
        InputError: for what cannot be divided: a base whose weights the control borrows, or of another type than is computed
            in, and an optimizer that looks at a weight as a whole.
    """
    what, optimizer, kind = config.parallel.shard, config.optimization.optimizer, base_dtype(config)
    if what == "all" and loss.network.config.variant == "lora":
        message = (
            "shard is 'all', which divides the base, and variant 'lora' borrows the base's weights: divide the control alone"
        )
        raise InputError(message, field="parallel.shard")
    if what == "none" or processes.size == 1:
        return None
    if optimizer in UNDIVIDED:
        message = f"shard is {what!r}, and optimizer {optimizer!r} {UNDIVIDED[optimizer]}"
        raise InputError(message, field="parallel.shard", hint="take adamw or muon, or shard=none")
    if config.optimization.ema_decay and config.optimization.ema_on_cpu:
        message = f"shard is {what!r}, and ema_on_cpu; averages are divided where the weights are"
        raise InputError(message, field="optimization.ema_on_cpu", hint="leave it out")
    if what == "all" and kind != (computed := NAMES[config.optimization.precision]):
        message = f"shard is 'all', and base_dtype {kind!r}; expected {computed!r} as the precision, in which all is gathered"
        raise InputError(message, field="model.base_dtype", hint="leave base_dtype out, or divide the control alone")
    if isinstance(loss.acting, ComputeCopy):  # it would cast the parts and not the whole; what is gathered is cast already
        blocks = ENCODER if config.optimization.checkpoint_encoder else ()
        del loss.acting
        loss.acting = NarrowCalls(recompute_blocks(loss.network, blocks), compute_dtype(config))
    return Shards(loss, processes, what, compute_dtype(config))


def layers_of(network: nn.Module) -> list[nn.Module]:
    """The layers of a U-Net or a copy of its encoder that are gathered by themselves, inner ones first."""
    found: list[nn.Module] = []
    for name, module in network.named_modules():
        *_, parent, own = ["", "", *name.split(".")]
        if own.isdigit() and parent in LAYERS and next(module.parameters(), None) is not None:
            found.append(module)
    return found[::-1]


def without_memory(network: Network) -> Network:
    """A copy of a network whose tensors have no memory."""
    memo: dict[int, Tensor] = {}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
    return copy.deepcopy(network, memo)
