"""How strongly each connection acts (section 3.4): strength, CFG resolution weighting, decay, step window.

| name | on the unconditional side | weight of connection i |
|---|---|---|
| `uniform` | condition too | 1 |
| `condition-only` | nothing added | 1 |
| `resolution` | nothing added | h_max / h_i: the paper's 64 / h_i, 1 (shallow) … 8 (deep) |
| `decay` | nothing added | 0.825 ** (12 - i): the released code's "guess mode", 0.0994 (shallow) … 1 (middle) |
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from zeroconv.errors import InputError

__all__ = ["ALL_STEPS", "WEIGHTINGS", "StepWindow", "Weighting", "condition_side_only", "layer_weights"]

Weighting = Literal["uniform", "resolution", "decay", "condition-only"]
WEIGHTINGS: tuple[str, ...] = get_args(Weighting)

DECAY = 0.825
"""Ratio of neighbouring weights in the released code's guess mode (`strength * 0.825 ** (12 - i)`)."""


def check_weighting(weighting: str) -> None:
    """Refuse an unknown name.

    Raises:
        InputError: listing the known ones.
    """
    if weighting not in WEIGHTINGS:
        raise InputError(f"weighting is {weighting!r}; expected one of {', '.join(WEIGHTINGS)}", field="weighting")


def condition_side_only(weighting: str) -> bool:
    """Whether the control acts on the conditional half of guidance alone."""
    check_weighting(weighting)
    return weighting != "uniform"


def layer_weights(weighting: str, heights: Sequence[int]) -> Tensor:
    """The weight of each connection, skips first, the middle last: (connections,), float64 on the CPU.

    `resolution` is the paper's `w_i = 64 / h_i` for latents of 64: 1 at full size, 8 at the deepest. For latents of
    any height H it is `H / h_i`, so that full-size connections keep weight 1 and each halving doubles it.

    `decay` is `0.825 ** (n - 1 - i)` for connection i of n: for the 13 of SD 1.5 that is the released
    `0.825 ** (12 - i)`.

    Args:
        weighting: one of `WEIGHTINGS`.
        heights: the latent height h_i at each connection, the middle's last.

    Raises:
        InputError: for an unknown weighting.
    """
    check_weighting(weighting)
    weights = [1.0] * len(heights)
    if weighting == "resolution":
        weights = [max(heights) / height for height in heights]
    if weighting == "decay":
        weights = [DECAY ** (len(heights) - 1 - i) for i in range(len(heights))]
    return torch.tensor(weights, dtype=torch.float64)


@dataclass(frozen=True)
class StepWindow:
    """The share of the steps in which a control acts; outside it its network is not run.

    Step i of n lies in the window when `start <= i / n` and `(i + 1) / n <= end`, the rule of diffusers. Where no step does,
    because the window is shorter than a step or lies across two, the step that holds its middle acts.

    Attributes:
        start: from 0 (the first, noisiest step).
        end: to 1 (the last step).

    Raises:
        InputError: unless 0 <= start < end <= 1.
    """

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        """Check the order."""
        if not (0.0 <= self.start < self.end <= 1.0):  # also false for NaN
            raise InputError(f"the step window is {self.start} to {self.end}; expected 0 <= start < end <= 1", field="start")

    def contains(self, step: int, steps: int) -> bool:
        """Whether step `step` of `steps` (counted from 0) lies inside."""
        return self.holds(step, steps) or (
            self.between_steps(steps) and step == min(int((self.start + self.end) / 2 * steps), steps - 1)
        )

    def holds(self, step: int, steps: int) -> bool:
        """Whether a step lies inside as a whole."""
        return not (step / steps < self.start or (step + 1) / steps > self.end)

    def between_steps(self, steps: int) -> bool:
        """Whether no step lies inside as a whole."""
        first = math.ceil(self.start * steps)
        return not any(self.holds(step, steps) for step in (first - 1, first) if 0 <= step < steps)


ALL_STEPS = StepWindow()


def check_scale(scale: float) -> float:
    """A finite strength.

    Raises:
        InputError: for NaN and infinities, and for what is no number.
    """
    try:
        number = math.nan if isinstance(scale, str) else float(scale)
    except (TypeError, ValueError, RuntimeError):  # the last is torch's, for more numbers than one
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"scale is {scale!r:.80}; expected a finite number, usually 0 to 2", field="scale")
    return number
