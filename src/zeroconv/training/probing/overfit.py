"""Overfitting: the pictures go on following their maps, and the network forgets what it knew of pictures it never saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from zeroconv.metrics.bootstrap import bootstrap_mean

__all__ = ["MeasuredProbe", "Overfit", "find_overfit"]

IN_A_ROW = 2  # probes that must agree: the best one was chosen for being low, and a single one above it proves little
RISE = 0.05  # of the best loss; less is no harm, and among hundreds of probes noise alone reaches it


@dataclass(frozen=True)
class MeasuredProbe:
    """What is looked at of a probe.

    Attributes:
        step: of the run.
        fidelity: of its pictures.
        low: lower end of the fidelity's 95 % interval.
        high: upper end.
        losses: on held-out pairs, one for each, always of the same time steps and noise.
    """

    step: int
    fidelity: float
    low: float
    high: float
    losses: Sequence[float]

    @property
    def loss(self) -> float:
        """Mean of the losses."""
        return fmean(self.losses)


@dataclass(frozen=True)
class Overfit:
    """The held-out loss has turned.

    Attributes:
        best: the probe with the lowest one.
        now: the newest probe.
    """

    best: MeasuredProbe
    now: MeasuredProbe

    def sentence(self, measure: str) -> str:
        """What a user is told."""
        best, now = self.best, self.now
        return (
            f"the held-out loss has risen from {best.loss:.4f} at step {best.step} to {now.loss:.4f}, while {measure} did not "
            f"fall ({best.fidelity:.2f}, now {now.fidelity:.2f}): the network learns its training pairs by heart, and pictures "
            "of other prompts and maps get worse; end the run, or give it more pairs"
        )


def find_overfit(probes: Sequence[MeasuredProbe]) -> Overfit | None:
    """Whether the held-out loss has risen by a twentieth, and beyond its noise, while fidelity has not fallen beyond its own.

    Args:
        probes: in order. Each loss is compared with the same pair's at the best probe, so that hard pairs do not matter.
    """
    if len(probes) <= IN_A_ROW:
        return None
    newest, earlier = probes[-IN_A_ROW:], probes[:-IN_A_ROW]
    best = min(earlier, key=lambda probe: probe.loss)
    if len({len(probe.losses) for probe in (best, *newest)}) != 1:
        return None
    for probe in newest:
        rise = bootstrap_mean([now - before for now, before in zip(probe.losses, best.losses, strict=True)])
        if rise.low <= 0 or rise.value < RISE * best.loss:
            return None
    now = newest[-1]
    return Overfit(best, now) if now.high >= best.fidelity else None
