"""Whether a plan computes what its network computes: one step of each on the same numbers."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from zeroconv.diffusion.randomness import keyed_noise
from zeroconv.stable_diffusion.unet import AddedConditions

__all__ = ["ALLOWED", "StepNumbers", "difference", "without_packing"]

ALLOWED = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}
"""Largest relative difference of a plan from its network, by data type."""
SIDE, TOKENS = 16, 8
"""Latents along a side, of which the deepest features are 2 × 2; tokens of the text."""
TEXT = 0.3
"""Spread of the random text, about that of real text states; with larger ones rounding grows in whatever order it is done."""


class StepNumbers:
    """Latents, text and sizes for one step of a network, as under guidance: both halves have the same latents.

    Args:
        network: a U-Net, or a ControlNet.
        text_width: channels D of the text states.
    """

    def __init__(self, network: Any, text_width: int) -> None:
        first = locked(network.conv_in).weight
        half = keyed_noise((1, first.shape[1], SIDE, SIDE), 0, "proof").to(first)
        self.z_t, self.t = torch.cat([half, half]), torch.tensor(500, device=first.device)
        self.text = TEXT * keyed_noise((2, TOKENS, text_width), 1, "proof").to(first)
        self.features = keyed_noise((1, first.shape[0], SIDE, SIDE), 2, "proof").to(first)
        self.added_conditions: AddedConditions | None = None
        if getattr(network, "add_embedding", None) is not None:
            sizes = torch.full((2, 6), 8.0 * SIDE).to(first)
            width = locked(network.add_embedding.linear_1).in_features - 6 * network.add_time_proj.num_channels
            self.added_conditions = AddedConditions(keyed_noise((2, width), 3, "proof").to(first), sizes)


def locked(layer: Any) -> Any:
    """A layer, or the base's within one of a low-rank copy."""
    return getattr(layer, "layer", layer)


def difference(found: Tensor, expected: Tensor) -> float:
    """‖found - expected‖ / ‖expected‖; 0 where both are zero, infinite where a number is not finite."""
    size, error = float(expected.float().norm()), float((found.float() - expected.float()).norm())
    if error == 0:
        return 0.0
    return error / size if size and torch.isfinite(found).all() else float("inf")


@contextmanager
def without_packing(dtype: torch.dtype) -> Generator[None]:
    """Torch's own products in float32, in place of oneDNN's, which would pack all weights for this one step."""
    if dtype != torch.float32:
        yield
        return
    with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=False):
        yield
