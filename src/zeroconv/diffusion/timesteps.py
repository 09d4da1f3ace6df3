"""How often each time step is drawn in training."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["TimestepDistribution", "logit_normal"]

GRAINS = 2**24
"""A draw is one of so many equal shares, so that it takes as much of a generator as `torch.randint` of the time steps does."""


@dataclass(frozen=True)
class TimestepDistribution:
    """Time steps, and how often each is drawn.

    Attributes:
        possible: those that may be drawn.
        weights: of each, (N,), at least 0 and not all 0, in any unit; None where all are drawn equally often.
    """

    possible: range
    weights: Tensor | None = None

    def draw(self, generator: torch.Generator) -> int:
        """One time step; the generator moves on by one number, whatever the distribution."""
        if self.weights is None:
            return int(torch.randint(self.possible.start, self.possible.stop, (), generator=generator))
        reached = self.weights.double().cumsum(0)
        share = (int(torch.randint(GRAINS, (), generator=generator)) + 0.5) / GRAINS
        place = int(torch.searchsorted(reached, share * reached[-1], right=True))
        return self.possible[min(place, len(self.possible) - 1)]

    def scale(self, part: range, factor: float) -> "TimestepDistribution":
        """The same with some time steps drawn `factor` times as often as they would be beside the others.

        Args:
            part: those time steps; what is not possible of them stays so.
            factor: above 0.
        """
        weights = torch.ones(len(self.possible), dtype=torch.float64) if self.weights is None else self.weights.clone()
        first = self.possible.start
        weights[max(part.start - first, 0) : max(part.stop - first, 0)] *= factor
        return TimestepDistribution(self.possible, weights)


def logit_normal(possible: range, mean: float, std: float) -> TimestepDistribution:
    """Time step number ⌊N·u⌋ of N, logit(u) normally distributed: those in the middle more often than the first and last.

    P. Esser et al., *Scaling Rectified Flow Transformers for High-Resolution Image Synthesis* (Stable Diffusion 3), 2024,
    arXiv 2403.03206, equation 19, whose best distribution is that of mean 0 and standard deviation 1:

        π(u; m, s) = exp(-(logit(u) - m)² / 2s²) / (s·√(2π)·u·(1 - u)),

    of which time step i has what lies between i / N and (i + 1) / N.

    Args:
        possible: the N time steps, at least one.
        mean: m; above 0 the noisier ones are preferred.
        std: s, above 0.
    """
    edges = torch.logit(torch.linspace(0, 1, len(possible) + 1, dtype=torch.float64))  # -∞ … ∞
    return TimestepDistribution(possible, torch.special.ndtr((edges - mean) / std).diff())
