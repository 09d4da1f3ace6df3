"""The convolutional blocks of Stable Diffusion's U-Net as plans."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.layers import PackedConvolution, UnknownModuleError, is_plain, pack
from zeroconv.runtime.normalization import Normalization

__all__ = ["ResidualBlock", "StepInputs", "plan_downsample", "plan_upsample", "to_batch"]


@dataclass(frozen=True)
class StepInputs:
    """What the blocks of one network are given in a step.

    Attributes:
        embedding: time embedding, (1 or B, E); one row where all rows of the batch have the same.
        shifts: what each residual block adds after its first convolution, its bias included, by the block: (1 or B, C).
        text: text states, (B, N, D).
    """

    embedding: Tensor
    shifts: dict[int, Tensor]
    text: Tensor


def to_batch(x: Tensor, rows: int) -> Tensor:
    """Features of a whole batch: those of one guidance half twice, where they were computed once."""
    return x if len(x) == rows else torch.cat([x, x])


class ResidualBlock:
    """Two normalized convolutions around a shift by the time embedding, and a shortcut.

    Args:
        block: diffusers' `ResnetBlock2D`.
        prepare: what makes a layer of the plan from a convolution.

    Raises:
        UnknownModuleError: for another module, or a form that Stable Diffusion does not have.
    """

    def __init__(self, block: nn.Module, prepare: Callable[[nn.Module], Any] = pack) -> None:
        if not isinstance(block, ResnetBlock2D) or not is_plain(block, ResnetBlock2D):
            raise UnknownModuleError(type(block).__name__)
        untimed = block.time_emb_proj is None and block.time_embedding_norm == "group"  # an autoencoder's decoder
        known = untimed or block.time_embedding_norm == "default"
        plain = known and not block.skip_time_act and block.output_scale_factor == 1
        if (
            not plain
            or block.upsample is not None
            or block.downsample is not None
            or not isinstance(block.nonlinearity, nn.SiLU)
        ):
            raise UnknownModuleError("ResnetBlock2D")
        self.key, self.projection = id(block), cast(Any, block.time_emb_proj)
        self.norm1, self.norm2 = Normalization(block.norm1), Normalization(block.norm2)
        self.conv1, self.conv2 = prepare(block.conv1), prepare(block.conv2)
        self.shortcut = None if block.conv_shortcut is None else prepare(block.conv_shortcut)
        self.folds = isinstance(self.conv1, PackedConvolution) and self.conv1.bias is not None

    def __call__(self, x: Tensor, given: StepInputs) -> Tensor:
        """Features (B, C', h, w) from (B, C, h, w)."""
        shift, h = given.shifts.get(self.key), self.norm1(x)
        if shift is None:
            h = self.conv1(h)
        elif self.folds and len(shift) == 1:
            h = self.conv1(h, shift[0])
        else:
            h = self.conv1(h) if not self.folds else self.conv1(h, torch.zeros_like(self.conv1.bias))
            h = h + shift[:, :, None, None]
        h = self.norm2(h)  # what it was before is let go before the convolution takes memory
        h = self.conv2(h)
        return h.add_(x if self.shortcut is None else self.shortcut(x))


def plan_downsample(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """A convolution of stride 2.

    Raises:
        UnknownModuleError: for another form.
    """
    layer: Any = module
    if not is_plain(module, Downsample2D) or not layer.use_conv or layer.padding == 0 or layer.norm is not None:
        raise UnknownModuleError(type(module).__name__)
    return pack(layer.conv)


def plan_upsample(
    module: nn.Module, prepare: Callable[[nn.Module], Any] = pack
) -> Callable[[Tensor, tuple[int, int] | None], Tensor]:
    """Every pixel four times, and a convolution, of which `prepare` makes a layer of the plan.

    Raises:
        UnknownModuleError: for another form.
    """
    layer: Any = module
    if not is_plain(module, Upsample2D) or not layer.use_conv or layer.use_conv_transpose or layer.norm is not None:
        raise UnknownModuleError(type(module).__name__)
    convolve = prepare(layer.conv)

    def run(x: Tensor, size: tuple[int, int] | None) -> Tensor:
        if size is None:
            size = (2 * x.shape[-2], 2 * x.shape[-1])
        return convolve(functional.interpolate(x, size=size, mode="nearest"))

    return run
