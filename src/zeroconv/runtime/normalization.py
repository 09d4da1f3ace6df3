"""Group normalization of locked networks, exact for large pictures, and by the numbers of a whole picture in a tile."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.convolutions import is_proving
from zeroconv.runtime.layers import UnknownModuleError, is_plain

__all__ = ["Normalization"]

BAND, FEW = 1024, 4
"""Pixels that are summed one after the other, and so many times as many up to which that is exact enough anyway."""
CENTRED = 3.0
"""How many times the deviation a mean may be before it is taken off."""
TINY = 1e-12
"""Added to variances whose reciprocal is asked for."""


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
