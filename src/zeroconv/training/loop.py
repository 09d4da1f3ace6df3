"""The optimisation of section 3.3, as a generator that yields its state after each step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.diffusion import NoiseSchedule, denoising_loss, snr_weight, training_target
from zeroconv.runtime.packed_modules import with_packed_convolutions
from zeroconv.training.data.batches import Batch
from zeroconv.training.divided_tensors import whole
from zeroconv.training.precision.compute_copy import ComputeCopy
from zeroconv.training.precision.loss_scale import LossScale
from zeroconv.training.precision.recomputation import recompute_blocks

__all__ = ["ENCODER", "StepMetrics", "TrainingLoss", "optimize"]

ENCODER = ("down_blocks", "mid_block")
"""The blocks of a control."""


@dataclass(frozen=True)
class StepMetrics:
    """After an optimizer step; the numbers are still on the device, and reading one waits for it.

    Attributes:
        step: steps done, counted from 1.
        loss: mean squared error of the batch, ().
        gradient_norm: before clipping, ().
        skipped: whether nothing was updated, because one of them is not finite.
    """

    step: int
    loss: Tensor
    gradient_norm: Tensor
    skipped: bool = False


class TrainingLoss(nn.Module):
    """`L = E || ε - ε_θ(z_t, t, c_t, c_f) ||²` (or the base's own target), averaged over the batch.

    Args:
        unet: the locked base.
        network: the ControlNet that learns.
        schedule: of the noise.
        prediction_type: what the base predicts.
        min_snr_gamma: weights each sample by min(SNR, γ) / SNR (Hang et al., 2023, arXiv 2303.09556); none if left out.
        dtype: that the network computes in; its weights stay as they are.
        recompute_encoder: keep the inputs of the network's blocks alone for the backward pass.
        recompute_decoder: likewise of the locked decoder's.
        pack_base: compute with convolutions of the base that are packed for the CPU, see `with_packed_convolutions`.
    """

    def __init__(
        self,
        unet: ControlledUNet,
        network: ControlNet,
        schedule: NoiseSchedule,
        prediction_type: str,
        min_snr_gamma: float | None = None,
        dtype: torch.dtype = torch.float32,
        recompute_encoder: bool = False,
        recompute_decoder: bool = False,
        pack_base: bool = False,
    ) -> None:
        super().__init__()
        self.network = network  # before its views: a parameter has the first name it is met under
        acting = recompute_blocks(network, ENCODER) if recompute_encoder else network
        is_cast = any(kind != torch.float32 for kind in (dtype, unet.unet.dtype))
        self.acting: Any = ComputeCopy(acting, dtype) if is_cast else acting
        packed = ControlledUNet(with_packed_convolutions(unet.unet)) if pack_base else unet
        self.unet = ControlledUNet(recompute_blocks(packed.unet, ["up_blocks"])) if recompute_decoder else packed
        self.schedule, self.prediction_type, self.min_snr_gamma = schedule, prediction_type, min_snr_gamma

    def forward(self, batch: Batch) -> Tensor:
        """The loss of a batch, ()."""
        return self.per_sample(batch).mean()

    def per_sample(self, batch: Batch) -> Tensor:
        """The loss of each sample of a batch, (B,)."""
        if isinstance(self.acting, ComputeCopy):
            self.acting.refresh()
        kind = self.unet.unet.dtype
        z_t = self.schedule.add_noise(batch.z_0, batch.epsilon, batch.t).to(kind)
        control = ActiveControl(cast(Any, self.acting), self.acting.encode_condition(batch.condition))
        prediction = self.unet(z_t, batch.t, batch.text.to(kind), [control], batch.added_conditions, self.acting.decoder)
        target = training_target(self.prediction_type, self.schedule, batch.z_0, batch.epsilon, batch.t)
        losses = denoising_loss(prediction, target)
        if self.min_snr_gamma is not None:
            losses = losses * snr_weight(self.prediction_type, self.schedule, batch.t, self.min_snr_gamma)
        return losses


def optimize(
    loss_of: Callable[[Batch], Tensor],
    parts_of: Callable[[int], Sequence[Batch]],
    optimizer: torch.optim.Optimizer,
    scale_learning_rate: Callable[[int], float],
    max_gradient_norm: float,
    steps: range,
    check: Callable[[int], bool] = lambda _: True,
    skip: bool = False,
    without_sharing: Callable[[], AbstractContextManager[None]] = nullcontext,
    mean: Callable[[Tensor], Tensor] = lambda loss: loss,
    loss_scale: LossScale | None = None,
) -> Iterator[StepMetrics]:
    """Step through `steps`, yielding after each; the caller logs, probes and saves.

    Args:
        loss_of: the loss of a batch.
        parts_of: the batch of a step in equal parts, whose gradients are averaged.
        optimizer: its groups hold the full learning rate under "full_lr".
        scale_learning_rate: share of the learning rate at a step.
        max_gradient_norm: gradients are clipped to it.
        steps: which steps, counted from 0.
        check: whether all losses and gradients so far are looked at before the update that completes a step (counted
            from 1), which waits for the device; always, if left out. Steps whose state is kept must be among them.
        skip: leave out the update of a step whose loss or gradient is not finite, in place of the error; every step is
            then looked at.
        without_sharing: a context in which gradients stay in this process.
        mean: of a loss over all processes.
        loss_scale: of float16; every step is then looked at.

    Raises:
        FloatingPointError: when a loss or gradient was not finite, naming the first such step. If every step is
            checked the weights are left as they were before it; otherwise they are lost, and no good state with them.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    unchecked: list[tuple[int, Tensor]] = []
    for step in steps:
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * scale_learning_rate(step)
        parts = parts_of(step)
        if loss_scale is not None:
            loss_scale.begin()
        while True:
            loss = mean(add_gradients(loss_of, parts, without_sharing, 1 if loss_scale is None else loss_scale.scale))
            if loss_scale is not None:
                divide_gradients(parameters, loss_scale.scale)
            norm = whole(torch.nn.utils.clip_grad_norm_(parameters, max_gradient_norm))
            if loss_scale is None or not overflows(loss, norm) or not loss_scale.lower():
                break
            optimizer.zero_grad(set_to_none=True)
        unchecked.append((step + 1, torch.stack([loss.float(), norm.float()])))
        skipped = False
        if skip:
            skipped = not bool(unchecked.pop()[1].isfinite().all())
        elif check(step + 1):
            check_finite(unchecked)
            unchecked.clear()
        if not skipped:
            optimizer.step()
            if loss_scale is not None:
                loss_scale.count()
        optimizer.zero_grad(set_to_none=True)
        yield StepMetrics(step + 1, loss, norm, skipped)


def add_gradients(
    loss_of: Callable[[Batch], Tensor],
    parts: Sequence[Batch],
    without_sharing: Callable[[], AbstractContextManager[None]],
    scale: float = 1,
) -> Tensor:
    """The mean loss of the parts of a batch; `scale` times their mean gradient is added to the parameters'."""
    total = torch.zeros(())
    for number, batch in enumerate(parts, start=1):
        with without_sharing() if number < len(parts) else nullcontext():
            loss = loss_of(batch) / len(parts)
            (loss if scale == 1 else loss * scale).backward()
        total = loss.detach() if number == 1 else total + loss.detach()
    return total


def divide_gradients(parameters: Sequence[Tensor], scale: float) -> None:
    """Take a loss scale out of gradients."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.div_(scale)


def overflows(loss: Tensor, norm: Tensor) -> bool:
    """Whether the loss is finite and the gradient is not; waits for the device."""
    finite = torch.stack([loss.float(), norm.float()]).isfinite().tolist()
    return finite[0] and not finite[1]


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
