"""The optimisation of section 3.3, as a generator that yields its state after each step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.diffusion import NoiseSchedule, denoising_loss, training_target
from zeroconv.training.batches import Batch

__all__ = ["StepMetrics", "optimize", "training_loss"]


@dataclass(frozen=True)
class StepMetrics:
    """After an optimizer step; the numbers are still on the device, and reading one waits for it.

    Attributes:
        step: steps done, counted from 1.
        loss: mean squared error of the batch, ().
        gradient_norm: before clipping, ().
    """

    step: int
    loss: Tensor
    gradient_norm: Tensor


def training_loss(
    unet: ControlledUNet, network: ControlNet, batch: Batch, schedule: NoiseSchedule, prediction_type: str
) -> Tensor:
    """`L = E || ε - ε_θ(z_t, t, c_t, c_f) ||²` (or the base's own target), averaged over the batch."""
    z_t = schedule.add_noise(batch.z_0, batch.epsilon, batch.t)
    control = ActiveControl(network, network.encode_condition(batch.condition))
    prediction = unet(z_t, batch.t, batch.text, [control], batch.added_conditions)
    return denoising_loss(prediction, training_target(prediction_type, schedule, batch.z_0, batch.epsilon, batch.t)).mean()


def optimize(
    loss_of: Callable[[Batch], Tensor],
    batch_of: Callable[[int], Batch],
    optimizer: torch.optim.Optimizer,
    scale_learning_rate: Callable[[int], float],
    max_gradient_norm: float,
    steps: range,
    check: Callable[[int], bool] = lambda _: True,
) -> Iterator[StepMetrics]:
    """Step through `steps`, yielding after each; the caller logs, probes and saves.

    Args:
        loss_of: the loss of a batch.
        batch_of: the batch of a step.
        optimizer: its groups hold the full learning rate under "full_lr".
        scale_learning_rate: share of the learning rate at a step.
        max_gradient_norm: gradients are clipped to it.
        steps: which steps, counted from 0.
        check: whether all losses and gradients so far are looked at before the update that completes a step (counted
            from 1), which waits for the device; always, if left out. Steps whose state is kept must be among them.

    Raises:
        FloatingPointError: when a loss or gradient was not finite, naming the first such step. If every step is
            checked the weights are left as they were before it; otherwise they are lost, and no good state with them.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    unchecked: list[tuple[int, Tensor]] = []
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * scale_learning_rate(step)
        loss = loss_of(batch_of(step))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm)
        loss = loss.detach()
        unchecked.append((step + 1, torch.stack([loss.float(), norm.float()])))
        if check(step + 1):
            check_finite(unchecked)
            unchecked.clear()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield StepMetrics(step + 1, loss, norm)


def check_finite(measured: list[tuple[int, Tensor]]) -> None:
    """Look at losses and gradient norms, in one transfer.

    Args:
        measured: steps, counted from 1, each with its loss and norm, (2,).

    Raises:
        FloatingPointError: naming the first step at which one is not finite.
    """
    values = torch.stack([pair for _, pair in measured]).cpu()  # (steps, 2)
    wrong = ~values.isfinite().all(dim=1)
    if not wrong.any():
        return
    first = int(wrong.nonzero()[0])
    (step, _), (loss, norm) = measured[first], values[first].tolist()
    kept = "nothing was updated" if first == len(measured) - 1 else "nothing since the last saved state can be kept"
    raise FloatingPointError(
        f"step {step}: the loss is {loss:g} and the gradient's norm {norm:g}; "
        f"{kept}: lower learning_rate, or look at the data with `zeroconv data check`"
    )
