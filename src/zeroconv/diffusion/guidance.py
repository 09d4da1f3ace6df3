"""Guidance, a denoiser around a denoiser (section 3.4): ε = ε_uc + β (ε_c - ε_uc), and on the control by a scale of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from zeroconv.diffusion.denoiser import Denoiser

__all__ = ["CFGDenoiser", "ControlGuidanceDenoiser"]


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


@dataclass(frozen=True)
class ControlGuidanceDenoiser:
    """Guidance on the prompt and, by a scale of its own, on the control.

    `ε = ε_uc + β (ε_c - ε_uc) + γ (ε_cc - ε_c)`, with ε_c for the prompt and ε_cc for prompt and control. This is equation 3
    of Brooks, Holynski and Efros, *InstructPix2Pix: Learning to Follow Image Editing Instructions*, 2023, arXiv 2211.09800,
    with the prompt first; how much guidance on the control does for its consistency is measured in arXiv 2507.15724, 2025.

    γ = 0 is classifier-free guidance without the control, γ = β the same with the control on ε_c alone ("condition-only"),
    and β = 1 is `CFGDenoiser(denoiser, γ)` of ε_c and ε_cc.

    Attributes:
        denoiser: asked with 3B rows: ε_uc, ε_c and ε_cc.
        scale: β.
        control_scale: γ.
    """

    denoiser: Denoiser
    scale: float
    control_scale: float

    def __call__(self, z_t: Tensor, t: Tensor, step: int) -> Tensor:
        """The guided prediction, like `z_t` (B, C, h, w)."""
        unconditional, prompted, controlled = self.denoiser(torch.cat([z_t, z_t, z_t]), t, step).chunk(3)
        by_prompt = unconditional + self.scale * (prompted - unconditional)
        return by_prompt + self.control_scale * (controlled - prompted)
