"""What a sampler needs of a network: the prediction for noisy latents at one step."""

from typing import Protocol

from torch import Tensor

__all__ = ["Denoiser"]


class Denoiser(Protocol):
    """A callable `(z_t, t, step) -> prediction`; text, conditions and guidance are its own affair.

    Denoisers wrap each other: guidance is a denoiser around a denoiser, see `CFGDenoiser`.
    """

    def __call__(self, z_t: Tensor, t: Tensor, step: int, /) -> Tensor:
        """The prediction (ε or v), like `z_t`.

        Args:
            z_t: noisy latents, (B, C, h, w).
            t: the step of the noise schedule, a scalar, 0 … 999.
            step: the sampling step, counted from 0.
        """
        ...
