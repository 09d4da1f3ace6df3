"""A phase of a training: optimizer steps until its share of the budget is spent, resumed after a kill at any moment.

Most methods have one phase; those that train one network after another divide the budget among several. A phase leaves

```
phase-NAME.state.safetensors    every half minute: weights, averages, moments, and the seconds spent; gone at the end
phase-NAME.safetensors          at the end: the network's averaged weights
phase-NAME.json                 at the end: steps, samples, seconds, trained parameters, and the loss on the way
```

As the end is a time, a run with the same seed gives the same weights up to the number of steps that the machine made in it.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from experiments.baselines.common import Budget
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zeroconv.checkpoints.files.atomic import replacing, write_text
from zeroconv.training.config.optimization import OptimizerName
from zeroconv.training.optimization.optimizer import new_optimizer
from zeroconv.training.optimization.weight_average import WeightAverage
from zeroconv.training.run_folder.state import gather_state, restore_state

__all__ = ["Phase", "load_phase", "optimizer_of", "phases_of", "total", "train_phase"]

SAVE_EVERY = 30.0  # seconds
WARMUP = 50  # steps, as zeroconv trains
DECAY = 0.2  # of the phase, at its end: the learning rate falls to zero
AVERAGE = 0.99  # decay of the averaged weights
CLIP = 1.0  # norm of the gradient, as zeroconv trains
LOGGED = 25  # steps


@dataclass
class Phase:
    """What became of a phase.

    Attributes:
        steps: of the optimizer.
        samples: seen.
        seconds: of the processor that this phase took.
        spent: of the budget at its end, phases before it included.
        parameters: that were trained, without those of an earlier phase.
        losses: mean of every 25 steps.
    """

    steps: int = 0
    samples: int = 0
    seconds: float = 0.0
    spent: float = 0.0
    parameters: int = 0
    losses: list[float] = field(default_factory=list[float])


def phases_of(folder: Path) -> dict[str, Phase]:
    """The phases of a training that are done, by name."""
    return {
        path.stem.removeprefix("phase-"): Phase(**json.loads(path.read_text("utf-8"))) for path in folder.glob("phase-*.json")
    }


def load_phase(folder: Path, name: str, network: nn.Module) -> None:
    """Fill a network with what a phase made of it, ready to generate."""
    network.load_state_dict(load_file(folder / f"phase-{name}.safetensors"))
    network.requires_grad_(False).eval()


def optimizer_of(
    network: nn.Module, name: OptimizerName = "muon", rate: float = 1e-3, weight_decay: float = 0.01
) -> torch.optim.Optimizer:
    """An optimizer of the library; Muon moves matrices by ten times `rate`."""
    return new_optimizer(network, name, rate, weight_decay)


def train_phase(
    folder: Path,
    name: str,
    network: nn.Module,
    loss_of: Callable[[int, float], Tensor],
    budget: Budget,
    batch: int,
    until: float = 1.0,
    optimizer: torch.optim.Optimizer | None = None,
    average: float = AVERAGE,
    counted: int = 0,
) -> Phase:
    """Train a network until `until` of the budget is spent; at the end it has its averaged weights, and is locked.

    Args:
        folder: of the training.
        name: of the phase.
        network: holds what learns and nothing else: a locked base is kept out of its `parameters` and `state_dict`.
        loss_of: the loss of a step, (), from the step's number, counted from 0, and the share of the phase that is over.
        budget: seconds; those of phases that are done are taken over from the folder.
        batch: samples of a step.
        until: share of the budget at which this phase ends.
        optimizer: its groups hold their rates as "full_lr" (`optimizer_of`); Muon with 1e-3 if left out.
        average: decay of the averaged weights.
        counted: trained parameters that are those of an earlier phase.

    Raises:
        FloatingPointError: when the loss is not finite any more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / f"phase-{name}.json"
    if done.exists():
        load_phase(folder, name, network)
        phase = Phase(**json.loads(done.read_text("utf-8")))
        budget.resume(phase.spent)
        return phase
    optimizer = optimizer or optimizer_of(network)
    averaged = WeightAverage(network, average)
    phase = Phase(parameters=sum(p.numel() for p in network.parameters()) - counted, spent=budget.spent)
    state = folder / f"phase-{name}.state.safetensors"
    if state.exists():
        phase = restore(state, network, optimizer, averaged)
    begun, end = phase.spent - phase.seconds, until * budget.seconds
    recent, saved = list[float](), time.monotonic()
    network.train()
    budget.resume(phase.spent)
    while budget.count() < until:
        share = (budget.spent - begun) / (end - begun)
        scale = min(1.0, (phase.steps + 1) / WARMUP, (1 - share) / DECAY)
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * scale
        loss = loss_of(phase.steps, share)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        recent.append(loss.item())
        if not torch.isfinite(loss):
            raise FloatingPointError(f"{folder}: the loss of step {phase.steps} is {loss.item()}")
        phase.steps += 1
        phase.samples += batch
        averaged.update(phase.steps)
        if len(recent) == LOGGED:
            phase.losses.append(round(sum(recent) / LOGGED, 4))
            recent.clear()
        if time.monotonic() - saved > SAVE_EVERY:
            keep(state, phase, budget, begun, network, optimizer, averaged)
            saved = time.monotonic()
    phase.spent, phase.seconds = budget.spent, budget.spent - begun
    averaged.swap()
    network.requires_grad_(False).eval()
    with replacing(folder / f"phase-{name}.safetensors") as part:
        save_file({key: tensor.detach().clone().contiguous() for key, tensor in network.state_dict().items()}, part)
    write_text(done, json.dumps(asdict(phase)))
    state.unlink(missing_ok=True)
    return phase


def keep(
    path: Path,
    phase: Phase,
    budget: Budget,
    begun: float,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: WeightAverage,
) -> None:
    """Write the state from which a phase goes on; the time that this takes is not the training's."""
    budget.count()
    phase.spent, phase.seconds = budget.spent, budget.spent - begun
    tensors = gather_state(network, optimizer, averaged.tensors)
    with replacing(path) as part:
        save_file(
            {key: t.detach().clone().contiguous() for key, t in tensors.items()}, part, {"phase": json.dumps(asdict(phase))}
        )
    budget.resume(phase.spent)


def restore(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, averaged: WeightAverage) -> Phase:
    """Fill everything from a state; the phase as it was then."""
    with safe_open(path, "pt") as file:
        phase = Phase(**json.loads(file.metadata()["phase"]))
    restore_state(load_file(path), network, optimizer, averaged.tensors)
    return phase


def total(phases: Sequence[Phase]) -> Phase:
    """Several phases as one."""
    sums = (sum(getattr(phase, name) for phase in phases) for name in ("steps", "samples", "seconds"))
    steps, samples, seconds = sums
    return Phase(int(steps), int(samples), float(seconds), float(seconds), sum(phase.parameters for phase in phases))
