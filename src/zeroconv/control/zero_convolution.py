"""The zero convolution Z(.; .) of section 3.1: a 1x1 convolution whose weight and bias start at zero."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.checkpoints.formats.controlnet_config import Connection

__all__ = ["ZeroConvolution", "all_zero", "connect", "connect_all"]


class ZeroConvolution(nn.Conv2d):
    r"""A 1x1 convolution with weight and bias zero; on tokens, the same map as a linear layer.

    At initialisation its output is zero and so is the gradient for its input, while its own weight receives
    \(\partial L / \partial W = \sum_p g_p x_p^\top\), which is not zero as long as the input `x` is not: after one
    step it connects (Zhang, Rao, Agrawala, 2023, arXiv 2302.05543, section 3.1).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; as many as the input if left out.
        device: where the weights live.
        dtype: their type.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels or in_channels, kernel_size=1, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Weight and bias to zero."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C', H, W), and tokens (B, N, C) or vectors (B, C) along their last axis."""
        if input.ndim == 4:
            return super().forward(input)
        return functional.linear(input, self.weight.flatten(1), self.bias)


def all_zero(connections: Iterable[nn.Module]) -> bool:
    """Whether all connections are exactly zero, as at initialisation: then the network changes nothing."""
    return not any(bool(parameter.any()) for connection in connections for parameter in connection.parameters())


def connect(in_channels: int, out_channels: int, connection: Connection) -> nn.Conv2d:
    """The 1x1 convolution that connects a copy: zero (the paper) or Gaussian (the ablation of figure 8 b).

    Raises:
        ValueError: for another name.
    """
    if connection == "zero":
        return ZeroConvolution(in_channels, out_channels)
    if connection == "gaussian":
        ordinary = nn.Conv2d(in_channels, out_channels, kernel_size=1)
        nn.init.kaiming_normal_(ordinary.weight, nonlinearity="linear")
        nn.init.zeros_(ordinary.bias)  # type: ignore[arg-type]
        return ordinary
    raise ValueError(f"connection is {connection!r}; expected 'zero' (the paper) or 'gaussian' (the ablation)")


def connect_all(channels: Sequence[int], connection: Connection) -> nn.ModuleList:
    """A connection for each output of a copy, by its channels."""
    return nn.ModuleList(connect(width, width, connection) for width in channels)
