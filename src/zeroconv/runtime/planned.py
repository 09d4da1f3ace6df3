"""A network's plan beside the network: proven by one computation, and given up where it differs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zeroconv.messages import Message, tell
from zeroconv.runtime.convolutions import with_present_forms
from zeroconv.runtime.proof import ALLOWED, difference, without_packing
from zeroconv.runtime.weights import Weights

__all__ = ["Planned"]


@dataclass
class Planned:
    """A network's plan, and the tensors it was made from.

    Attributes:
        weights: of the network.
        plan: what computes in its place, or what runs as it is.
        plain: what runs as it is.
        name: of the network, for messages.
        step: the result of one step on random numbers, flat, of the plan or of `plain`; None needs no proof.
        is_proven: whether the plan was compared with `plain`.
    """

    weights: Weights
    plan: Any
    plain: Any
    name: str
    step: Callable[[Any], Tensor] | None
    is_proven: bool = False

    def prove(self) -> bool:
        """Whether the plan computes what the network does; if not, the network runs as it is, which is told.

        What runs as it is within a plan is told, too.
        """
        self.is_proven = True
        if self.step is None:
            return True
        dtype = next(self.weights.parts[0].parameters()).dtype
        allowed = ALLOWED.get(dtype, 0.0)
        with with_present_forms():
            found = self.step(self.plan)
        with without_packing(dtype):
            error = difference(found, self.step(self.plain))
        if error > allowed:
            text = f"{self.name} runs as it is: its plan differs by {error:.1e} of the result, more than {allowed:.0e}"
            tell(Message(text, "runtime.no-plan"))
            self.plan = self.plain
            return False
        if self.plan.unknown:
            parts = ", ".join(sorted(self.plan.unknown))
            text = f"parts of {self.name} run as they are, because no plan computes them: {parts}"
            tell(Message(text, "runtime.unknown", "info"))
        return True
