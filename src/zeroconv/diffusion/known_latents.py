"""Sampling that starts from a picture (SDEdit), and that keeps a part of it (inpainting)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["KnownLatents", "count_run_steps"]


def count_run_steps(steps: int, strength: float) -> int:
    """How many of the last steps of a schedule are run: `int(steps * strength)`, the rule of diffusers; it may be 0."""
    return min(int(steps * strength), steps)


@dataclass(frozen=True)
class KnownLatents:
    """Latents of a picture: sampling starts from them, and where there is a hole only it is painted anew.

    Noise of a step on the way is added to them, and only the steps from there on are run (Meng, He, Song, Song, Wu, Zhu, Ermon,
    *SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations*, 2022, arXiv 2108.01073). After each
    step, what lies outside the hole is replaced by them, with the noise of that step (Lugmayr et al., *RePaint*, 2022, arXiv
    2201.09865, equation 8).

    As in diffusers, at strength 1 a trace of the picture is left under the noise of the first step; with a hole there is none:
    sampling starts from noise alone.

    Attributes:
        clean: scaled latents, (B, C, h, w).
        strength: share of the steps that are run, 0 … 1.
        hole: True where the picture is painted anew, (1, 1, h, w); None is everywhere.
    """

    clean: Tensor
    strength: float
    hole: Tensor | None = None

    def begin(self, scheduler: Any, noise: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """The latents to begin with, (B, C, h, w), and the time steps that are run.

        Args:
            scheduler: its time steps are set.
            noise: standard normal, like `clean`.
            steps: of the whole schedule.
        """
        run = count_run_steps(steps, self.strength)
        first = (steps - run) * scheduler.order
        times = scheduler.timesteps[first:]
        if not run:
            return self.clean, times
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first)
        if self.hole is not None and run == steps:
            return noise * scheduler.init_noise_sigma, times
        return scheduler.add_noise(self.clean, noise, times[:1].repeat(len(noise))), times

    def keep(self, z: Tensor, scheduler: Any, noise: Tensor, t: Tensor | None) -> Tensor:
        """Latents after a step, with the picture outside the hole.

        Args:
            z: latents, (B, C, h, w).
            scheduler: after the step.
            noise: that of `begin`.
            t: the next time step; None after the last one.
        """
        if self.hole is None:
            return z
        known = self.clean if t is None else scheduler.add_noise(self.clean, noise, t[None].repeat(len(noise)))
        return torch.where(self.hole, z, known.to(z.dtype))
