"""Layers of a locked network whose weights are kept in 8 or 4 bits and widened when they are used.

The weight is `W ≈ scale · codes`, one scale for each output channel (int8, float8), or for each group of 64 numbers of a
channel (int4, as in T. Dettmers et al., *QLoRA*, 2023, arXiv 2305.14314, here with evenly spaced levels). A wide weight
lives no longer than its product: the backward pass, which needs it again for the gradient of the layer's input, widens
it anew. Whatever the library's weight-only layers save, they keep wide weights for the backward pass and leave
convolutions alone, which hold most of a U-Net.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_input

__all__ = ["BITS", "QuantizedDtype", "quantize_layers"]

QuantizedDtype = Literal["float8", "int8", "int4"]
BITS: dict[QuantizedDtype, int] = {"float8": 8, "int8": 8, "int4": 4}
GROUP = 64  # numbers of a channel that share a scale in 4 bits
LARGEST: dict[QuantizedDtype, float] = {"float8": 448.0, "int8": 127.0, "int4": 7.0}
LEAST = 1024  # numbers: smaller weights stay as they are


class QuantizedWeight(nn.Module):
    """A weight in few bits.

    Args:
        weight: (out, …), of any type.
        kind: how it is kept.
        dtype: of the wide weight, and of the scales.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, kind: QuantizedDtype, dtype: torch.dtype) -> None:
        super().__init__()
        self.kind: QuantizedDtype = kind
        self.shape = weight.shape
        rows = weight.detach().float().flatten(1)
        rows = rows.reshape(-1, GROUP) if kind == "int4" else rows
        scale = (rows.abs().amax(1, keepdim=True) / LARGEST[kind]).to(dtype)
        scale = torch.where(scale == 0, 1, scale)  # of numbers that are all zero, or too small for the type
        self.register_buffer("codes", pack(rows / scale.float(), kind))  # by the rounded scale: its error cancels
        self.register_buffer("scale", scale)

    def widen(self) -> Tensor:
        """The weight in the type of the scales, (out, …)."""
        return (unpack(self.codes, self.kind).to(self.scale.dtype) * self.scale).view(self.shape)


def pack(values: Tensor, kind: QuantizedDtype) -> Tensor:
    """Codes of scaled numbers, as bytes: integers are no floats to whoever casts a network."""
    largest = LARGEST[kind]
    if kind == "float8":
        return values.clamp(-largest, largest).to(torch.float8_e4m3fn).view(torch.uint8)
    codes = values.round().clamp(-largest, largest).to(torch.int8)
    if kind == "int8":
        return codes
    low, high = (codes + 8).to(torch.uint8).unflatten(1, (2, -1)).unbind(1)
    return low | (high << 4)


def unpack(codes: Tensor, kind: QuantizedDtype) -> Tensor:
    """The scaled numbers of codes."""
    if kind == "float8":
        return codes.view(torch.float8_e4m3fn)
    if kind == "int8":
        return codes
    return torch.cat([codes & 15, codes >> 4], dim=1).to(torch.int8) - 8


class QuantizedLayer(nn.Module):
    """A linear or convolutional layer with a `QuantizedWeight`; no gradient reaches weight or bias.

    Args:
        layer: the layer, padded with zeros.
        kind: how its weight is kept.
        dtype: that it computes in.
    """

    bias: nn.Parameter | None
    options: tuple[Any, ...] | None

    def __init__(self, layer: nn.Linear | nn.Conv2d, kind: QuantizedDtype, dtype: torch.dtype) -> None:
        super().__init__()
        self.quantized = QuantizedWeight(layer.weight, kind, dtype)
        bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().to(dtype), requires_grad=False)
        self.register_parameter("bias", bias)
        self.options = (layer.stride, layer.padding, layer.dilation, layer.groups) if isinstance(layer, nn.Conv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        """As the layer: (…, in) to (…, out), or (B, in, H, W) to (B, out, H', W')."""
        return Product.apply(x, self)  # pyright: ignore[reportReturnType]

    def multiply(self, x: Tensor) -> Tensor:
        """The layer's output, by a wide weight that is forgotten at once."""
        weight = self.quantized.widen()
        return (
            functional.linear(x, weight, self.bias)
            if self.options is None
            else functional.conv2d(x, weight, self.bias, *self.options)
        )

    def gradient(self, of_output: Tensor, shape: torch.Size) -> Tensor:
        """The gradient of the input, whose shape is given, from the output's."""
        weight = self.quantized.widen()
        if self.options is None:
            return of_output @ weight
        return conv2d_input(shape, weight, of_output, *self.options)


class Product(torch.autograd.Function):
    """`layer.multiply(x)`, of which nothing is kept for the backward pass but the layer and the shape of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantizedLayer) -> Tensor:
        """The output."""
        ctx.layer, ctx.shape = layer, x.shape
        return layer.multiply(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient of x."""
        return ctx.layer.gradient(gradients[0], ctx.shape), None


def quantize_layers(network: nn.Module, kind: QuantizedDtype, dtype: torch.dtype) -> None:
    """Put a `QuantizedLayer` in the place of every linear and convolutional layer inside a U-Net's blocks.

    Those at its ends (input, output, time embedding) are small and stay, and so do small ones. A channel that has no whole
    groups is kept in int8 where int4 is asked for.

    Args:
        network: a diffusers U-Net, changed in place.
        kind: how weights are kept.
        dtype: that the layers compute in.
    """
    for name, module in list(network.named_modules()):
        parent, _, last = name.rpartition(".")
        if not name.startswith(("down_blocks", "mid_block", "up_blocks")) or not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        fits = kind != "int4" or module.weight[0].numel() % GROUP == 0
        if module.weight.numel() >= LEAST:
            layer = QuantizedLayer(module, kind if fits else "int8", dtype)
            setattr(network.get_submodule(parent), last, layer)
