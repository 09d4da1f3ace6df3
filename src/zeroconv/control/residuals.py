"""What a ControlNet gives: 12 residuals for the skip connections and one for the middle block (figure 3, right)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Residuals", "skip_channels"]


@dataclass(frozen=True)
class Residuals:
    """A value: adding two composes two ControlNets (section 3.4, figure 6), scaling sets their strength.

    Attributes:
        skips: one per skip connection, shallow to deep, each (B, C_i, h_i, w_i).
        middle: for the middle block's output, (B, C, h, w).
    """

    skips: tuple[Tensor, ...]
    middle: Tensor

    def __len__(self) -> int:
        """How many residuals there are: 13 for SD 1.5 and 2.1, 10 for SDXL."""
        return len(self.skips) + 1

    @property
    def all(self) -> tuple[Tensor, ...]:
        """Skips, then middle."""
        return (*self.skips, self.middle)

    def map(self, change: Callable[[int, Tensor], Tensor]) -> "Residuals":
        """`change(i, residual)` of every residual; the middle is the last."""
        *skips, middle = (change(i, residual) for i, residual in enumerate(self.all))
        return Residuals(tuple(skips), middle)

    def __add__(self, other: "Residuals") -> "Residuals":
        """The sum, residual by residual.

        Raises:
            ValueError: when the two come from ControlNets of different bases.
        """
        mine, theirs = ([tuple(r.shape[-3:]) for r in residuals.all] for residuals in (self, other))
        if mine != theirs:
            raise ValueError(
                f"these residuals do not fit each other: {mine[0]} … {mine[-1]} ({len(mine)}) and {theirs[0]} … {theirs[-1]} "
                f"({len(theirs)}); only ControlNets made for the same base, at the same picture size, can be added"
            )
        return self.map(lambda i, residual: residual + other.all[i])

    def __mul__(self, scale: float) -> "Residuals":
        """Every residual times one number."""
        return self.map(lambda _, residual: residual * scale)

    __rmul__ = __mul__

    def scaled(self, weights: Sequence[float]) -> "Residuals":
        """Residual i times `weights[i]`; the last weight is the middle's.

        Raises:
            ValueError: when there are not as many weights as residuals.
        """
        if len(weights) != len(self):
            raise ValueError(
                f"got {len(weights)} layer weights; this base has {len(self)} ({len(self.skips)} skip connections + middle)"
            )
        return self.map(lambda i, residual: residual * weights[i])

    def masked(self, mask: Tensor) -> "Residuals":
        """Every residual times `mask`, resized to its level by area.

        Args:
            mask: (1 or B, 1, H, W) in [0, 1]; 1 where the control acts.
        """

        def at_level(_: int, residual: Tensor) -> Tensor:
            level = torch.nn.functional.interpolate(mask, size=residual.shape[-2:], mode="area")
            return residual * level.to(residual)

        return self.map(at_level)

    def pooled(self) -> "Residuals":
        """Every residual replaced by its mean over the picture (ControlNet 1.1 "shuffle")."""
        return self.map(lambda _, residual: residual.mean(dim=(2, 3), keepdim=True).expand_as(residual))


def skip_channels(unet: Any) -> list[int]:
    """Channels of each skip connection, shallow to deep."""
    channels = [unet.config.block_out_channels[0]]
    for block, width in zip(unet.down_blocks, unet.config.block_out_channels, strict=True):
        channels += [width] * (len(block.resnets) + (block.downsamplers is not None))
    return channels
