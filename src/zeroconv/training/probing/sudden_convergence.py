"""Sudden convergence (figure 4): the moment a ControlNet begins to obey, found in its fidelity and not in its loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zeroconv.evaluation import share_of_gap

__all__ = ["SuddenConvergence", "find_sudden_convergence"]

BELOW, ABOVE = 0.1, 0.3
"""The control has taken hold when it closes 30 % of the gap, and the jump began at the last probe under 10 %."""


@dataclass(frozen=True)
class SuddenConvergence:
    """When the control took hold.

    Attributes:
        begin: step of the last probe before the jump.
        end: step of the first probe after it.
        before: fidelity at `begin`.
        after: fidelity at `end`.
        step: where the line between the two probes around it closes 30 % of the gap.
        earliest: the same for the upper ends of these probes' 95 % intervals, not before the first of them.
        latest: the same for the lower ends, not after the second.
    """

    begin: int
    end: int
    before: float
    after: float
    step: int
    earliest: int
    latest: int

    def sentence(self, measure: str) -> str:
        """The announcement, with step, uncertainty, bracket and fidelity: "the control took hold at about step 940 (…)"."""
        bracket = f"between the probes of step {self.begin} and {self.end}"
        when = f"at about step {self.step} ({self.earliest} to {self.latest}, {bracket})"
        return f"the control took hold {when}: {measure} {self.before:.2f} → {self.after:.2f}"


def find_sudden_convergence(
    curve: Sequence[tuple[int, float]],
    uncontrolled: float,
    ceiling: float,
    intervals: Mapping[int, tuple[float, float]] | None = None,
) -> SuddenConvergence | None:
    """The jump in a fidelity curve, or None when there was none yet.

    Args:
        curve: (step, fidelity) of each probe, in order; the first before any training.
        uncontrolled: fidelity without control.
        ceiling: fidelity of the autoencoder's reconstruction of the truth.
        intervals: by step, the ends of the 95 % interval of the share of the gap that is closed; of a probe without one
            nothing is known, and the step lies anywhere between the two probes.
    """
    shares = [share_of_gap(fidelity, uncontrolled, ceiling) for _, fidelity in curve]
    shares = [share for share in shares if share is not None]  # all of them, or none when there is no gap
    end = next((i for i, share in enumerate(shares) if share >= ABOVE), 0)
    if end == 0:  # never, or from the start: a network that was trained before
        return None
    begin = max((i for i in range(end) if shares[i] < BELOW), default=0)
    steps, known = [step for step, _ in curve[end - 1 : end + 1]], intervals or {}
    found = round(crossing(steps, shares[end - 1 : end + 1]))
    # The two probes show the same pictures from the same noise, so they err together: both too high, or both too low.
    unknown = {step: (-float("inf"), float("inf")) for step in steps}
    lows, highs = zip(*(known.get(step, unknown[step]) for step in steps), strict=True)
    earliest, latest = (round(crossing(steps, ends)) for ends in (highs, lows))
    (first, before), (last, after) = curve[begin], curve[end]
    return SuddenConvergence(first, last, before, after, found, min(earliest, found), max(latest, found))


def crossing(steps: Sequence[int], shares: Sequence[float]) -> float:
    """Where the line through two points reaches `ABOVE`; the end that is nearer where it does not, or is unknown."""
    (first, last), (low, high) = steps, shares
    if low >= ABOVE:
        return first
    if high <= ABOVE:
        return last
    return first + (last - first) * (ABOVE - low) / (high - low)
