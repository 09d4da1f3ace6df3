"""Equation 2 around any block: y_c = F(x; Θ) + Z(F(x + Z(c; Θ_z1); Θ_c); Θ_z2)."""

import copy
from typing import Any

from torch import Tensor, nn

from zeroconv.control.zero_convolution import ZeroConvolution

__all__ = ["ControlledBlock"]


class ControlledBlock(nn.Module):
    """A locked block and its trainable copy, connected by two zero convolutions (figure 2 b).

    `y_c = F(x; Θ) + Z(F(x + Z(c; Θ_z1); Θ_c); Θ_z2)`, so that `y_c = y` exactly until the first update
    (equations 2 and 3 of Zhang, Rao, Agrawala, 2023, arXiv 2302.05543).

    Args:
        block: any module whose output has its input's layout: a residual block, an MLP, an attention, a
            transformer block. It is locked in place; the copy starts from its weights.
        channels: channels of the block's input and output.
        condition_channels: channels of the condition; as many as `channels` if left out.
        out_channels: channels of the block's output where they differ from its input's.
    """

    def __init__(
        self,
        block: nn.Module,
        channels: int,
        condition_channels: int | None = None,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.copy = copy.deepcopy(block).requires_grad_(True)
        self.block = block.requires_grad_(False).eval()
        self.zero_in = ZeroConvolution(condition_channels or channels, channels)
        self.zero_out = ZeroConvolution(out_channels or channels)

    def forward(self, x: Tensor, c: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The controlled output `y_c`.

        Args:
            x: features, maps (B, C, H, W) or tokens (B, N, C).
            c: the condition in the same layout, (B, C', H, W) or (B, N, C').
            *args: passed on to block and copy alike (a time embedding, text states).
            **kwargs: likewise.

        Raises:
            ValueError: when the block returns something else than one tensor.
        """
        y = self.block(x, *args, **kwargs)
        if not isinstance(y, Tensor):
            raise ValueError(
                f"the block returned {type(y).__name__}; equation 2 adds to one tensor: wrap the block so that it returns one"
            )
        return y + self.zero_out(self.copy(x + self.zero_in(c), *args, **kwargs))

    def train(self, mode: bool = True) -> "ControlledBlock":
        """Training mode for the copy; the locked block stays in evaluation mode (no dropout, no statistics)."""
        super().train(mode)
        self.block.eval()
        return self
