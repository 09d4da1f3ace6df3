"""Layers whose weights never change: packed once in the order in which oneDNN reads them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.convolutions import Form, Gathered, Winograd, find_form
from zeroconv.runtime.processor import made_by_intel

__all__ = [
    "Layer",
    "PackedConvolution",
    "PackedLinear",
    "UnknownModuleError",
    "can_pack",
    "is_plain",
    "pack",
    "pack_together",
]

Layer = Callable[[Tensor], Tensor]
SMALL = 1 << 14
"""Numbers in a matrix up to which the call costs more than the product."""
LARGE, SIZES = 1 << 19, 4
"""Numbers in the weights of a convolution up to which they are packed for each size, and for how many at a time."""


class UnknownModuleError(Exception):
    """A module that no plan computes: it is run as it is."""


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether layers can be packed: on the CPU, where PyTorch was built with oneDNN, in a type that it computes in."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def should_pack(weight: Tensor) -> bool:
    """Whether a packed linear layer is sooner done than torch's own.

    In float32 torch calls MKL, which needs no packing to be as fast on Intel's processors and for small matrices, and reaches
    less than half of other processors' limit.
    """
    if not can_pack(weight.device, weight.dtype):
        return False
    return weight.dtype != torch.float32 or (weight.numel() > SMALL and not made_by_intel())


def is_plain(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module is exactly of a class, with nothing hung onto it: no adapter, no hook, no method of its own."""
    own = vars(module)
    hung = own.get("_forward_hooks") or own.get("_forward_pre_hooks") or "forward" in own
    return type(module) is kind and not hung and not hasattr(module, "parametrizations")


class PackedConvolution:
    """A convolution; its weights are packed when the first features come, for their size.

    Large ones of 3 × 3 weights are computed by Winograd's algorithm, or, where features are few, by one matrix product; what
    that needs in place of the weights is made again when the size asks for another way. The others are oneDNN's, which
    chooses the order of the weights by the size of the features. Small weights are packed anew for other sizes. Large ones
    stay as they are, for their order hardly depends on the size: where it does, they are brought into the other one in each
    call.

    Args:
        layer: a `Conv2d`.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        self.weight = layer.weight.detach()
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.geometry: Sequence[Any] = [int(p) for p in layer.padding], list(layer.stride), list(layer.dilation), layer.groups
        self.packed: dict[torch.Size | None, Tensor] = {}
        self.is_large = layer.weight.numel() > LARGE
        self.form: Form | None = None
        self.by_form: Winograd | Gathered | None = None

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The convolution of (B, C, h, w), with another bias (C',) if one is given."""
        own = self.bias if bias is None else bias
        form = find_form(self.weight, self.geometry, x.shape, self.form)
        if form is None:
            return self.plain(x, own)
        if form is not self.form or self.by_form is None:
            self.form = self.by_form = None  # the memory is free before the other takes it
            self.form, self.by_form = form, self.make(form)
        return self.by_form(x, own)

    def make(self, form: Form) -> Winograd | Gathered:
        """What computes the convolution in a form."""
        weight, stride = self.ordered_weight(), self.geometry[1][0]
        if form.outputs > 1:
            return Winograd(weight, form)
        return Gathered(weight, stride, None if weight.dtype == torch.float32 else PackedLinear)

    def plain(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution of (B, C, h, w) by oneDNN."""
        size = None if self.is_large else x.shape
        packed = self.packed.get(size)
        if packed is None:
            packed = self.pack(x.shape)
            if len(self.packed) == SIZES:
                del self.packed[next(iter(self.packed))]
            self.packed[size] = packed
        return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *self.geometry, "none", [], "")

    def pack(self, size: torch.Size) -> Tensor:
        """The weights in the order for features of a size."""
        padding, stride, dilation, groups = self.geometry
        weight = self.ordered_weight()
        return torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, dilation, groups, list(size))

    def ordered_weight(self) -> Tensor:
        """The weights as they are computed with, (C', C, k, k)."""
        return self.weight.contiguous()


class PackedLinear:
    """A linear layer; its weights are packed when the first features come.

    Args:
        weight: (C', C).
        bias: (C',), if there is one.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.packed: Tensor | None = None

    def __call__(self, x: Tensor, bias: Tensor | None = None, then: str = "none") -> Tensor:
        """The layer on (…, C), with another bias (C',) if one is given, and `then` "gelu" of it."""
        own = self.bias if bias is None else bias
        return torch.ops.mkldnn._linear_pointwise(x, self.packed_for(x), own, then, [], "none")

    def times(self, x: Tensor, factor: Tensor) -> Tensor:
        """The layer on (…, C) times a factor (…, C')."""
        return torch.ops.mkldnn._linear_pointwise.binary(x, factor, self.packed_for(x), self.bias, "mul")

    def packed_for(self, x: Tensor) -> Tensor:
        """The packed weights; those they were made of are let go."""
        packed = self.packed
        if packed is None:
            rows = x.numel() // x.shape[-1]
            packed = self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), rows)
            del self.weight
        return packed


class PackedGate:
    """A linear layer whose output's second half gates the first, a · gelu(b): the gate is applied as the first half is made.

    Args:
        layer: the layer, (2 C', C).
    """

    def __init__(self, layer: nn.Linear) -> None:
        weights = layer.weight.chunk(2)
        biases = layer.bias.chunk(2) if has_bias(layer) else (None, None)
        self.value, self.gate = (PackedLinear(weight, bias) for weight, bias in zip(weights, biases, strict=True))

    def __call__(self, x: Tensor) -> Tensor:
        """(…, C') from (…, C)."""
        return self.value.times(x, self.gate(x, then="gelu"))


def plan_linear(weight: Tensor, bias: Tensor | None) -> Layer:
    """A linear layer, packed where that pays; weights (C', C), bias (C',)."""
    if should_pack(weight):
        return PackedLinear(weight, bias)
    fixed, own = weight.detach(), None if bias is None else bias.detach()
    return lambda x: functional.linear(x, fixed, own)


def pack(layer: nn.Module) -> Any:
    """A layer as a plan calls it: packed if it is a plain convolution or linear layer, otherwise itself."""
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or not can_pack(weight.device, weight.dtype):
        return layer
    if is_plain(layer, nn.Linear):
        assert isinstance(layer, nn.Linear)
        return plan_linear(layer.weight, layer.bias)
    if is_plain(layer, nn.Conv2d) and getattr(layer, "padding_mode", "") == "zeros" and not isinstance(layer.padding, str):
        assert isinstance(layer, nn.Conv2d)
        return PackedConvolution(layer)
    return layer


def has_bias(layer: nn.Module) -> bool:
    """Whether a layer adds a bias."""
    return getattr(layer, "bias", None) is not None


def pack_together(layers: Sequence[nn.Module]) -> Layer | None:
    """Linear layers of one input as one, their outputs side by side; None unless all are plain and have no bias."""
    linear = [layer for layer in layers if isinstance(layer, nn.Linear) and is_plain(layer, nn.Linear) and not has_bias(layer)]
    if len(linear) < len(layers):
        return None
    weight = torch.cat([layer.weight.detach() for layer in linear])
    return plan_linear(weight, None)
