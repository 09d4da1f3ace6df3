"""Convolutions of a locked network packed within its own modules, for training: the gradient of the input goes through."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.convolutions import bytes_beside
from zeroconv.runtime.layers import PackedConvolution, can_pack, is_plain

__all__ = ["packed_bytes", "with_packed_convolutions"]


class InputGradient(PackedConvolution):
    """From the gradient of a convolution's output to that of its input: a convolution with the mirrored weights.

    Args:
        layer: a `Conv2d` of stride 1.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.bias = None
        padding = [side - 1 - int(before) for side, before in zip(layer.kernel_size, layer.padding, strict=True)]
        self.geometry = padding, [1, 1], [1, 1], 1

    def ordered_weight(self) -> Tensor:
        """The weights (C, C', k, k) from those of the layer, (C', C, k, k)."""
        return self.weight.flip(2, 3).transpose(0, 1).contiguous()


class LockedConvolution(torch.autograd.Function):
    """A packed convolution whose weights get no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "PackedModule") -> Tensor:
        """(B, C', h, w) from (B, C, h, w)."""
        ctx.layer = layer
        return layer.forward_plan(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        """The gradient of the input."""
        return ctx.layer.gradient_plan(gradients[0].contiguous()), None


class PackedModule(nn.Module):
    """A convolution of stride 1 in place of one, around the same parameters.

    Weights are packed when the first features come, those for the gradient when the first gradient does.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.forward_plan, self.gradient_plan = PackedConvolution(layer), InputGradient(layer)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C', h, w) from (B, C, h, w)."""
        if torch.is_grad_enabled() and x.requires_grad:
            found: Any = LockedConvolution.apply(x, self)
            return found
        return self.forward_plan(x)


class PackedStride(nn.Module):
    """A convolution of another stride in place of one; where a gradient is asked for, it runs as it was."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.plan = PackedConvolution(layer)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C', h', w') from (B, C, h, w)."""
        if torch.is_grad_enabled() and x.requires_grad:
            return functional.conv2d(x, self.weight, self.bias, *self.plan.geometry[1::-1], *self.plan.geometry[2:])
        return self.plan(x)


def with_packed_convolutions(network: Any) -> Any:
    """The same modules around the same tensors, with convolutions packed for the CPU: equal up to rounding.

    Packed weights take as much memory again as those of the convolutions, wide ones up to four times as much, and those that
    gradients go through twice. The weights must not change afterwards. What cannot be packed (another device or type,
    adapters) stays as it is.

    Args:
        network: locked; left as it is.
    """
    view = copy.deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})
    for parent in list(view.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and is_packable(layer):
                setattr(parent, name, PackedModule(layer) if tuple(layer.stride) == (1, 1) else PackedStride(layer))
    return view


def is_packable(layer: nn.Conv2d) -> bool:
    """Whether a convolution is one that oneDNN computes as this module asks for it."""
    if not is_plain(layer, nn.Conv2d) or isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return False
    return layer.groups == 1 and tuple(layer.dilation) == (1, 1) and can_pack(layer.weight.device, layer.weight.dtype)


def packed_bytes(unet: Any) -> int:
    """Bytes that packing takes at most beside a U-Net in training: for its convolutions, and for its decoder's once more."""
    parts = (unet, unet.up_blocks, unet.conv_out)
    layers = [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Conv2d) and is_packable(layer)]
    return sum(bytes_beside(layer.weight) for layer in layers)
