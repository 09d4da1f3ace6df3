"""Sudden convergence (figure 4): the moment a ControlNet begins to obey, found in its fidelity and not in its loss."""

from collections.abc import Sequence
from dataclasses import dataclass

from zeroconv.evaluation import share_of_gap

__all__ = ["SuddenConvergence", "find_sudden_convergence"]

BELOW, ABOVE = 0.1, 0.3
"""The control has taken hold when it closes 30 % of the gap, and the jump began at the last probe under 10 %."""


@dataclass(frozen=True)
class SuddenConvergence:
    """Between which two probes the control took hold.

    Attributes:
        begin: step of the last probe before the jump.
        end: step of the first probe after it.
        before: fidelity at `begin`.
        after: fidelity at `end`.
    """

    begin: int
    end: int
    before: float
    after: float

    def sentence(self, measure: str) -> str:
        """The announcement, such as "the control took hold between step 900 and 1000: edge F1 0.21 → 0.63"."""
        return f"the control took hold between step {self.begin} and {self.end}: {measure} {self.before:.2f} → {self.after:.2f}"


def find_sudden_convergence(
    curve: Sequence[tuple[int, float]], uncontrolled: float, ceiling: float
) -> SuddenConvergence | None:
    """The jump in a fidelity curve, or None when there was none yet.

    Args:
        curve: (step, fidelity) of each probe, in order; the first before any training.
        uncontrolled: fidelity without control.
        ceiling: fidelity of the autoencoder's reconstruction of the truth.
    """
    shares = [share_of_gap(fidelity, uncontrolled, ceiling) for _, fidelity in curve]
    shares = [share for share in shares if share is not None]  # all of them, or none when there is no gap
    end = next((i for i, share in enumerate(shares) if share >= ABOVE), 0)
    if end == 0:  # never, or from the start: a network that was trained before
        return None
    begin = max((i for i in range(end) if shares[i] < BELOW), default=0)
    return SuddenConvergence(curve[begin][0], curve[end][0], curve[begin][1], curve[end][1])
