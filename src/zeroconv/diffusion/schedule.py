"""The noise schedule of Stable Diffusion: 1000 steps, "scaled linear" betas 0.00085 … 0.012 (section 3.3)."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["NoiseSchedule"]


@dataclass(frozen=True)
class NoiseSchedule:
    """The forward process `z_t = sqrt(ᾱ_t) z_0 + sqrt(1 - ᾱ_t) ε` (Ho, Jain, Abbeel, 2020, arXiv 2006.11239).

    Attributes:
        alphas_cumprod: ᾱ_t for t = 0 … T-1, (T,), decreasing from near 1 to near 0.
    """

    alphas_cumprod: Tensor

    @classmethod
    def scaled_linear(cls, steps: int = 1000, start: float = 0.00085, end: float = 0.012) -> "NoiseSchedule":
        """Betas whose square roots are evenly spaced."""
        betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float32) ** 2
        return cls(torch.cumprod(1 - betas, dim=0))

    def __len__(self) -> int:
        """The number of steps T."""
        return len(self.alphas_cumprod)

    def to(self, device: torch.device | str) -> "NoiseSchedule":
        """The same on a device: there a step reads it without a copy, for which a GPU would have to be waited for."""
        return NoiseSchedule(self.alphas_cumprod.to(device))

    def signal_and_noise(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """`sqrt(ᾱ_t)` and `sqrt(1 - ᾱ_t)`, shaped to multiply `like`.

        Args:
            t: steps, (B,), 0 … T-1.
            like: (B, …).
        """
        a = self.alphas_cumprod.to(like)[t].view(-1, *[1] * (like.ndim - 1))
        return a.sqrt(), (1 - a).sqrt()

    def add_noise(self, z_0: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
        """`z_t`, (B, …), of clean latents `z_0` and noise `epsilon` at steps `t` (B,)."""
        signal, noise = self.signal_and_noise(t, z_0)
        return signal * z_0 + noise * epsilon
