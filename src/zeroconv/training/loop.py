"""The optimisation of section 3.3, as a generator that yields its state after each step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.diffusion import NoiseSchedule, denoising_loss, training_target
from zeroconv.stable_diffusion import AddedConditions

__all__ = ["Batch", "StepState", "optimise", "training_loss"]


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        z_0: clean latents, (B, C, h, w).
        text: text states, some of them of the empty prompt, (B, N, D).
        condition: condition images, (B, 3, H, W) in [0, 1].
        t: diffusion steps, (B,).
        epsilon: noise, like `z_0`.
        added_conditions: what SDXL is told beside the text; None for the other families.
    """

    z_0: Tensor
    text: Tensor
    condition: Tensor
    t: Tensor
    epsilon: Tensor
    added_conditions: AddedConditions | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device."""
        tensors = (self.z_0, self.text, self.condition, self.t, self.epsilon)
        z_0, text, condition, t, epsilon = (part.to(device) for part in tensors)
        added = self.added_conditions and self.added_conditions.map(lambda tensor: tensor.to(device))
        return Batch(z_0, text, condition, t, epsilon, added)


@dataclass(frozen=True)
class StepState:
    """After an optimizer step.

    Attributes:
        step: steps done, counted from 1.
        loss: mean squared error of the batch.
        gradient_norm: before clipping.
    """

    step: int
    loss: float
    gradient_norm: float


def training_loss(
    unet: ControlledUNet, network: ControlNet, batch: Batch, schedule: NoiseSchedule, prediction_type: str
) -> Tensor:
    """`L = E || ε - ε_θ(z_t, t, c_t, c_f) ||²` (or the base's own target), averaged over the batch."""
    z_t = schedule.add_noise(batch.z_0, batch.epsilon, batch.t)
    control = ActiveControl(network, network.encode_condition(batch.condition))
    prediction = unet(z_t, batch.t, batch.text, [control], batch.added_conditions)
    return denoising_loss(prediction, training_target(prediction_type, schedule, batch.z_0, batch.epsilon, batch.t)).mean()


def optimise(
    loss_of: Callable[[Batch], Tensor],
    batch_of: Callable[[int], Batch],
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    max_gradient_norm: float,
    steps: range,
) -> Iterator[StepState]:
    """Step through `steps`, yielding after each; the caller logs, probes and saves.

    Args:
        loss_of: the loss of a batch.
        batch_of: the batch of a step.
        optimizer: its groups hold the full learning rate under "full_lr".
        rate: share of the learning rate at a step.
        max_gradient_norm: gradients are clipped to it.
        steps: which steps, counted from 0.

    Raises:
        FloatingPointError: when loss or gradient is not finite; the weights are left as they were.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * rate(step)
        loss = loss_of(batch_of(step))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise FloatingPointError(
                f"step {step + 1}: the loss is {loss.item():g} and the gradient's norm {norm.item():g}; "
                "nothing was updated: lower learning_rate, or look at the data with `zeroconv data check`"
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield StepState(step + 1, loss.item(), norm.item())
