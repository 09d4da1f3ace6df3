"""The loss scale of float16, whose smallest numbers gradients would fall below (Micikevicius et al., 2018, section 3.2)."""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["LossScale"]

INITIAL, LARGEST = 2.0**16, 2.0**24
GROW_AFTER = 2000  # steps without overflow until the scale is doubled, as in torch's GradScaler


class LossScale:
    """A power of two that the loss is multiplied by before the backward pass, and gradients divided by after it.

    Where a gradient overflows, the scale is halved and the step computed again: no batch is lost, and the update is the
    one that a smaller scale would have given at once.

    Attributes:
        scale: the factor.
        steps: without overflow since it was last changed.
    """

    def __init__(self) -> None:
        self.scale, self.steps = INITIAL, 0
        self.begin()

    def begin(self) -> None:
        """A step begins."""
        self.before = self.scale, self.steps

    def lower(self) -> bool:
        """Halve it after an overflow; False when it is 1 already: not the scale is at fault, which is then as it was before."""
        if self.scale <= 1:
            self.scale, self.steps = self.before
            return False
        self.scale, self.steps = self.scale / 2, 0
        return True

    def count(self) -> None:
        """A step went well."""
        self.steps += 1
        if self.steps >= GROW_AFTER:
            self.scale, self.steps = min(2 * self.scale, LARGEST), 0

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What resuming needs, each ()."""
        return {"scale": torch.tensor(self.scale, dtype=torch.float64), "steps": torch.tensor(self.steps)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from saved `tensors`; an empty mapping, of a run in another precision, changes nothing."""
        if tensors:
            self.scale, self.steps = float(tensors["scale"]), int(tensors["steps"])
