"""Classifier-free guidance, a denoiser around a denoiser (section 3.4): ε = ε_uc + β (ε_c - ε_uc)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from zeroconv.diffusion.denoiser import Denoiser

__all__ = ["CFGDenoiser"]


@dataclass(frozen=True)
class CFGDenoiser:
    """The guided prediction (Ho and Salimans, *Classifier-Free Diffusion Guidance*, 2022, arXiv 2207.12598).

    Both predictions come from one batch, which costs less than two:

    ```python
    text = base.encode_text([negative_prompt, prompt]).hidden_states
    sample_latents(CFGDenoiser(ControlledDenoiser(unet, text, steps=20), 7.5), z, scheduler, 20, [seed])
    ```

    Attributes:
        denoiser: asked with 2B rows: ε_uc, for the empty or negative prompt, is its first half, ε_c its second.
        scale: β; 0 is ε_uc alone, 1 ε_c up to rounding (then ask for ε_c alone, at half the cost), 7.5 is usual.
    """

    denoiser: Denoiser
    scale: float

    def __call__(self, z_t: Tensor, t: Tensor, step: int) -> Tensor:
        """The guided prediction, like `z_t` (B, C, h, w)."""
        unconditional, conditional = self.denoiser(torch.cat([z_t, z_t]), t, step).chunk(2)
        return unconditional + self.scale * (conditional - unconditional)
