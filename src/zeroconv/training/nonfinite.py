"""Where a number that is not finite came from: the first tensor of a batch, weight or module in which there is one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zeroconv.messages import Message
from zeroconv.training.data.batches import Batch
from zeroconv.training.divided_tensors import local_part
from zeroconv.training.loop import StepMetrics

__all__ = ["SkippedSteps", "alone", "explain_nonfinite", "find_nonfinite", "in_batch"]

Agree = Callable[[str | None], str | None]
"""What the first process that has something to say says, in all of them (`Processes.first_of`)."""
MOST_SKIPPED = 10  # steps left out one after the other until a run ends


def alone(words: str | None) -> str | None:
    """What one process by itself says."""
    return words


class SkippedSteps:
    """Counts the steps that are left out because loss or gradient are not finite.

    Args:
        loss: `loss(batch)` is the loss of a batch.
        agree: see `Agree`.
    """

    def __init__(self, loss: nn.Module, agree: Agree = alone) -> None:
        self.loss, self.agree, self.in_a_row = loss, agree, 0

    def count(self, state: StepMetrics, batches: Sequence[Batch]) -> Message | None:
        """What there is to say about a step.

        Args:
            state: of the step.
            batches: that it was computed from.

        Raises:
            FloatingPointError: when too many were left out in a row.
        """
        if not state.skipped:
            self.in_a_row = 0
            return None
        self.in_a_row += 1
        values = f"the loss is {float(state.loss):g}, the gradient's norm {float(state.gradient_norm):g}"
        values += describe(self.loss, batches, self.agree)
        if self.in_a_row > MOST_SKIPPED:
            raise FloatingPointError(f"step {state.step}: {values}; {MOST_SKIPPED} steps before it were left out, too")
        return Message(f"step {state.step} is left out: {values}", "run.skipped-step")


def explain_nonfinite(
    states: Iterator[StepMetrics], loss: nn.Module, batches: Sequence[Batch], agree: Agree = alone
) -> Iterator[StepMetrics]:
    """The steps of an optimisation, whose error says where a number that is not finite came from.

    Args:
        states: the steps.
        loss: `loss(batch)` is the loss of a batch.
        batches: those of the newest step, kept up to date by the caller.
        agree: see `Agree`.

    Raises:
        FloatingPointError: that of `states`, and where it began.
    """
    try:
        yield from states
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}{describe(loss, batches, agree)}") from error


def describe(loss: nn.Module, batches: Sequence[Batch], agree: Agree) -> str:
    """Where batches cease to give finite numbers, in brackets: in the loss, else in the gradients that they left.

    Every process runs the loss as often, whatever it finds: a network that is divided needs them all.
    """
    found = [(batch, in_outputs(loss, batch)) for batch in batches]
    bad = [(batch, place) for batch, place in found if place is not None]
    causes = (
        next(filter(None, (in_batch(batch) for batch, _ in bad)), None),
        in_weights(loss) if bad else None,
        next((place for _, place in bad), None),
        None if bad else in_gradients(loss),
    )
    for cause in causes:
        if words := agree(cause):
            return f" (first: {words})"
    return ""


def find_nonfinite(loss: nn.Module, batch: Batch, agree: Agree = alone) -> str | None:
    """Name where the loss of a batch ceases to be finite; None when it is finite.

    Args:
        loss: `loss(batch)` is the loss.
        batch: of the step in question, the same in every process that asks.
        agree: see `Agree`.
    """
    with torch.no_grad():
        if is_finite(loss(batch)):
            return None
    place = in_outputs(loss, batch)  # run by every process, whatever it finds, as in `describe`
    return next((words for cause in (in_batch(batch), in_weights(loss), place) if (words := agree(cause))), None)


def in_weights(loss: nn.Module) -> str | None:
    """The first weight that is not finite, of those that this process has."""
    for name, tensor in (*loss.named_parameters(), *loss.named_buffers()):
        if not local_part(tensor).isfinite().all():
            return f"the weight {name}" + (", of the locked base" if name.startswith("unet.") else "")
    return None


def in_gradients(loss: nn.Module) -> str | None:
    """The first gradient that is not finite, of those that this process has."""
    named = ((name, p.grad) for name, p in loss.named_parameters() if p.grad is not None)
    return next((f"the gradient of {name}" for name, grad in named if not local_part(grad).isfinite().all()), None)


def in_batch(batch: Batch) -> str | None:
    """The first tensor of a batch that is not finite, with its pair."""
    parts = {"latents": batch.z_0, "text": batch.text, "condition image": batch.condition, "noise": batch.epsilon}
    for part, tensor in parts.items():
        wrong = (~tensor.isfinite()).flatten(1).any(dim=1).nonzero().flatten().tolist()
        if wrong:
            return f"the {part} of {batch.names[wrong[0]]!r}" if batch.names else f"the {part} of sample {wrong[0]}"
    return None


def in_outputs(loss: nn.Module, batch: Batch) -> str | None:
    """The first module whose output is not finite though its inputs are; None when the loss is finite."""
    found: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def look(_module: nn.Module, inputs: Any, output: Any) -> None:
            if not found and not is_finite(output) and is_finite(inputs):
                found.append(f"the output of {name}")

        return look

    hooks = [module.register_forward_hook(watch(name)) for name, module in loss.named_modules() if name]
    try:
        with torch.no_grad():
            if is_finite(loss(batch)):
                return None
    finally:
        for hook in hooks:
            hook.remove()
    return (found or ["the loss itself"])[0]


def is_finite(value: Any) -> bool:
    """Whether all tensors in nested tuples and lists are finite."""
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    return all(map(is_finite, value)) if isinstance(value, tuple | list) else True
