"""Weights in 8 bits: a whole number from -127 to 127 each, and a factor for each output channel."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["quantize"]

LEAST = 4096
"""Numbers in a weight below which nothing is to be saved."""
LARGEST = 127


class EightBits(nn.Module):
    """What a linear layer or a convolution becomes: `weight` is computed anew whenever it is read."""

    codes: Tensor
    factors: Tensor

    @property
    def weight(self) -> Tensor:
        """The weight, in the type of the factors."""
        return self.codes.to(self.factors.dtype).mul_(self.factors)


class EightBitLinear(EightBits, nn.Linear):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A linear layer."""


class EightBitConv2d(EightBits, nn.Conv2d):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A convolution."""


KINDS: dict[type[nn.Module], type[EightBits]] = {nn.Linear: EightBitLinear, nn.Conv2d: EightBitConv2d}


@torch.no_grad()
def quantize(network: nn.Module, dtype: torch.dtype | None = None) -> int:
    """Keep the weights of plain linear layers and convolutions in 8 bits, for good: half or a quarter of the memory.

    Each output channel is divided by its largest number, so that no weight is off by more than 1/254 of that. Layers become
    others in their place, one after the other: at no time is more than one weight in memory twice.

    Args:
        network: any; layers of other classes, small ones and those that are in 8 bits stay as they are.
        dtype: of the factors, and so of the weights when they are read; the weights' own if left out.

    Returns:
        How many layers were changed.
    """
    changed = 0
    for layer in network.modules():
        kind, weight = KINDS.get(type(layer)), getattr(layer, "weight", None)
        if kind is None or not isinstance(weight, Tensor) or weight.numel() < LEAST or not weight.is_floating_point():
            continue
        full = weight.detach().float()
        largest = full.flatten(1).abs().amax(1).clamp_min(torch.finfo(torch.float16).tiny)
        factors = (largest / LARGEST).view(-1, *(1 for _ in full.shape[1:]))
        own: Any = layer
        del own.weight
        own.__class__ = kind
        own.register_buffer("codes", (full / factors).round_().to(torch.int8))
        own.register_buffer("factors", factors.to(dtype or weight.dtype))
        changed += 1
    return changed
