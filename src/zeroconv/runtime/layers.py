"""Layers whose weights never change: packed once in the order in which oneDNN reads them."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.convolutions import GATHERED, Form, Gathered, Winograd, find_form, is_proving

__all__ = [
    "Layer",
    "Normalization",
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
BAND, FEW = 1024, 4
"""Pixels that are summed one after the other, and so many times as many up to which that is exact enough anyway."""
CENTRED = 3.0
"""How many times the deviation a mean may be before it is taken off."""
TINY = 1e-12
"""Added to variances whose reciprocal is asked for."""


class UnknownModuleError(Exception):
    """A module that no plan computes: it is run as it is."""


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether layers can be packed: on the CPU, where PyTorch was built with oneDNN, in a type that it computes in."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


@cache
def made_by_intel() -> bool:
    """Whether the processor is one for which MKL was written; False where that cannot be told."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return "Intel" in str(capabilities.get("cpu_name", ""))


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
        if form is GATHERED:
            return Gathered(weight, stride)
        return Winograd(weight, form)

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

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.packed: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """The layer on (…, C)."""
        if self.packed is None:
            rows = x.numel() // x.shape[-1]
            self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), rows)
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


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


def moments(pixels: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Variances and means of the groups of channels, (groups,) float64, of pixels (n, C) float32."""
    count, channels = pixels.shape
    bands, rest = divmod(count, BAND)
    parts = [(block, BAND) for block in pixels[: bands * BAND].view(bands, BAND, 1, channels).split(FEW) if len(block)]
    parts += [(pixels[None, bands * BAND :, None], rest)] if rest else []
    squares, sums = pixels.new_zeros(groups, dtype=torch.float64), pixels.new_zeros(groups, dtype=torch.float64)
    for part, size in parts:
        features = part.permute(0, 3, 1, 2)
        _, mean, scale = torch.native_group_norm(features, None, None, len(part), channels, size, groups, TINY)
        mean = mean.double()
        sums += size * mean.sum(0)
        squares += size * (scale.double() ** -2 - TINY + mean**2).sum(0)
    mean = sums / count
    return (squares / count - mean**2).clamp_min(0), mean


class Normalization:
    """Group normalization, and SiLU after it where that follows.

    Means and variances are those of the features themselves, or, in a tile, those of a picture that stands for the whole.

    Args:
        layer: a `GroupNorm`.
        silu: whether SiLU follows.

    Raises:
        UnknownModuleError: for another layer.
    """

    def __init__(self, layer: nn.Module, silu: bool = True) -> None:
        if not isinstance(layer, nn.GroupNorm) or not is_plain(layer, nn.GroupNorm):
            raise UnknownModuleError(type(layer).__name__)
        self.layer, self.silu = layer, silu
        self.measures = False
        self.moments: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Normalized features, like `x`."""
        layer = self.layer
        if self.measures:
            self.moments = torch.var_mean(x.float().reshape(len(x), layer.num_groups, -1), dim=2, correction=0)
        if self.moments is None or self.measures:
            y = self.whole(x)
        else:
            factor, shift = self.affine(*self.moments)
            y = torch.addcmul(shift.to(x.dtype), x, factor.to(x.dtype))
        return functional.silu(y, inplace=True) if self.silu else y

    def whole(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) normalized by their own means and variances.

        Torch sums the numbers of channels-last features one after the other: at 512 × 512 pixels its result is wrong by 2e-5 of
        its size in float32. So large ones are summed in bands, each row of the batch by itself.
        """
        layer, rows = self.layer, x.permute(0, 2, 3, 1)
        is_large = x.shape[-2] * x.shape[-1] > (0 if is_proving() else BAND * FEW)
        is_learnt = torch.is_grad_enabled() and (x.requires_grad or layer.weight.requires_grad)
        is_plain_cpu = x.device.type == "cpu" and x.dtype == torch.float32 and rows.is_contiguous()
        if is_learnt or not is_plain_cpu or not is_large:
            return functional.group_norm(x, layer.num_groups, layer.weight, layer.bias, layer.eps)
        found = torch.empty_like(rows)
        for pixels, out in zip(rows.flatten(1, 2), found.flatten(1, 2), strict=True):
            self.normalize(pixels, out)
        return found.permute(0, 3, 1, 2)

    def normalize(self, pixels: Tensor, out: Tensor) -> None:
        """The pixels (n, C) of one picture, normalized into `out`.

        Where a mean is large beside the deviation from it, the variance is taken once more, of what is left without the mean.
        """
        layer, width = self.layer, self.layer.num_channels // self.layer.num_groups
        variance, mean = moments(pixels, layer.num_groups)
        if bool((mean**2 > CENTRED**2 * variance).any()):
            pixels = torch.sub(pixels, mean.repeat_interleave(width).float(), out=out)
            variance, mean = moments(pixels, layer.num_groups)
        factor, shift = (one.flatten().float() for one in self.affine(variance[None], mean[None]))
        torch.addcmul(shift, pixels, factor, out=out)

    def affine(self, variance: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Factor and summand of each channel, (B, C, 1, 1), from what groups have, (B, groups)."""
        layer, width = self.layer, self.layer.num_channels // self.layer.num_groups
        deviation, mean = ((one.repeat_interleave(width, 1)) for one in ((variance + layer.eps).rsqrt(), mean))
        factor = deviation * layer.weight.to(mean.dtype)
        return factor[:, :, None, None], (layer.bias.to(mean.dtype) - mean * factor)[:, :, None, None]
