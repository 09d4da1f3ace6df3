"""Classifier-free guidance, a denoiser around a denoiser (section 3.4): ε = ε_uc + β (ε_c - ε_uc)."""

from torch import Tensor

__all__ = ["guide"]


def guide(unconditional: Tensor, conditional: Tensor, guidance_scale: float) -> Tensor:
    """The guided prediction (Ho and Salimans, 2022, arXiv 2207.12598).

    Args:
        unconditional: ε_uc, the prediction for the empty or negative prompt, (B, C, h, w).
        conditional: ε_c, the prediction for the prompt, likewise.
        guidance_scale: β; 1 is no guidance, 7.5 is usual.
    """
    return unconditional + guidance_scale * (conditional - unconditional)
