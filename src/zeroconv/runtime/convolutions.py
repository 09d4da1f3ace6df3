"""Wide 3 × 3 convolutions as matrix products: in float32, in PyTorch's own operations, by Winograd's algorithm.

The outputs of a tile are sums of products of sums of its inputs and sums of the weights (Lavin and Gray, Fast Algorithms for
Convolutional Neural Networks, 2016). A tile of 2 × 2 outputs takes 16 multiplications in place of 36, one of 4 × 4 takes 36
in place of 144; the sums of the weights are made once. Over all tiles and channels they are matrix products, which is what
processors do best: that is why this is faster than the plain convolution although the sums take time.

Features of a few pixels are too little for tiles. There the neighbours of each pixel are laid side by side, for one product;
so too in bfloat16 on processors that multiply faster than they read the weights.

Tiles of 4 × 4 are computed at the points 0, ±√½, ±√2 and ∞, which keeps rounding errors near those of the plain convolution
(`benchmarks/convolutions.py` measures both).
"""

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from zeroconv.runtime.processor import multiplies_tiles

__all__ = [
    "FOUR",
    "GATHERED",
    "READ",
    "TWO",
    "Form",
    "Gathered",
    "Winograd",
    "bytes_beside",
    "find_form",
    "is_proving",
    "with_present_forms",
]

Parts: TypeAlias = Tensor | Sequence[Tensor]
Sums: TypeAlias = Callable[[Parts, Parts, Parts], None]
Product: TypeAlias = Callable[[Tensor, Tensor | None], Tensor]

LEAST_CHANNELS = 256
"""Channels of input and output from which matrix products take most of the time."""
TILES = 128
"""So many tiles are computed at a time: enough for the matrix products, few enough for the caches."""
NEAR, FAR = math.sqrt(0.5), math.sqrt(2.0)


def spread_two(inputs: Parts, sums: Parts, spare: Parts) -> None:
    """Along one axis: the sums of four inputs that two outputs are made of."""
    first, second, third, fourth = inputs
    torch.sub(first, third, out=sums[0])
    torch.add(second, third, out=sums[1])
    torch.sub(third, second, out=sums[2])
    torch.sub(second, fourth, out=sums[3])


def gather_two(products: Parts, outputs: Parts, spare: Parts) -> None:
    """Along one axis: two outputs from four products."""
    torch.add(products[0], products[1], out=outputs[0]).add_(products[2])
    torch.sub(products[1], products[2], out=outputs[1]).sub_(products[3])


def spread_four(inputs: Parts, sums: Parts, spare: Parts) -> None:
    """Along one axis: the sums of six inputs that four outputs are made of; uses two spare tensors."""
    even, odd = spare[:2]
    torch.add(inputs[0], inputs[4], out=sums[0]).sub_(inputs[2], alpha=2.5)
    for place, point in ((1, NEAR), (3, FAR)):
        torch.sub(inputs[4], inputs[2], alpha=1 / point**2, out=even)
        torch.sub(inputs[3], inputs[1], alpha=1 / point**2, out=odd)
        torch.add(even, odd, alpha=point, out=sums[place])
        torch.sub(even, odd, alpha=point, out=sums[place + 1])
    torch.add(inputs[1], inputs[5], out=sums[5]).sub_(inputs[3], alpha=2.5)


def gather_four(products: Parts, outputs: Parts, spare: Parts) -> None:
    """Along one axis: four outputs from six products; uses four spare tensors."""
    near, near_odd, far, far_odd = spare[:4]
    torch.add(products[1], products[2], out=near)
    torch.sub(products[1], products[2], out=near_odd)
    torch.add(products[3], products[4], out=far)
    torch.sub(products[3], products[4], out=far_odd)
    torch.add(near, far, out=outputs[0]).add_(products[0])
    torch.mul(near_odd, NEAR, out=outputs[1]).add_(far_odd, alpha=FAR)
    torch.mul(near, NEAR**2, out=outputs[2]).add_(far, alpha=FAR**2)
    torch.add(products[5], near_odd, alpha=NEAR**3, out=outputs[3]).add_(far_odd, alpha=FAR**3)


@dataclass(frozen=True)
class Form:
    """One way to make matrix products of a convolution.

    Attributes:
        outputs: of a tile along each side.
        least: outputs of a picture, h·w, from which this way is the fastest.
        below: outputs of a picture from which it no longer is.
        most: channels of input times channels of output up to which what stands for the weights is not too much memory.
        filters: from three weights along an axis to what stands for them, (outputs + 2, 3).
        spread: from inputs to sums, along one axis.
        gather: from products to outputs, along one axis.
    """

    outputs: int
    least: float = 0
    below: float = math.inf
    most: float = math.inf
    filters: tuple[tuple[float, ...], ...] = ()
    spread: Sums = spread_two
    gather: Sums = gather_two

    def fits(self, height: int, width: int) -> bool:
        """Whether a picture consists of whole tiles."""
        return height % self.outputs == 0 == width % self.outputs


def filters_at(points: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """What stands for three weights at points, ∞ being the last."""
    apart = {point: math.prod(point - other for other in points if other != point) for point in points}
    return (*(tuple(point**power / apart[point] for power in range(3)) for point in points), (0.0, 0.0, 1.0))


HALF = (0.5, 0.5, 0.5), (0.5, -0.5, 0.5)
FOUR = Form(4, 256, most=5 << 18, filters=filters_at((0.0, NEAR, -NEAR, FAR, -FAR)), spread=spread_four, gather=gather_four)
TWO = Form(2, 64, filters=((1.0, 0.0, 0.0), *HALF, (0.0, 0.0, 1.0)))
GATHERED = Form(1, below=64)
FORMS = FOUR, TWO, GATHERED
"""In float32, larger tiles first."""
READ = (Form(1, below=100),)
"""In bfloat16, on processors that multiply tiles of it."""

IS_GIVEN: ContextVar[bool] = ContextVar("IS_GIVEN", default=False)


@contextmanager
def with_present_forms() -> Generator[None]:
    """Compute pictures of any size by the tiles for which weights are there: for the proof of a plan, on a small picture."""
    token = IS_GIVEN.set(True)
    try:
        yield
    finally:
        IS_GIVEN.reset(token)


def is_proving() -> bool:
    """Whether a small picture is computed in the way of a large one, see `with_present_forms`."""
    return IS_GIVEN.get()


def forms_of(weight: Tensor) -> tuple[Form, ...]:
    """The matrix products that may pay for these weights, (C', C, k, k)."""
    if tuple(weight.shape[2:]) != (3, 3) or min(weight.shape[:2]) < LEAST_CHANNELS:
        return ()
    if weight.dtype == torch.bfloat16:
        return READ if multiplies_tiles() else ()
    return FORMS if weight.dtype == torch.float32 else ()


def find_form(weight: Tensor, geometry: Sequence[Any], size: torch.Size, present: Form | None = None) -> Form | None:
    """How a convolution is computed as matrix products; None if it is to be computed as it is.

    How many pictures there are does not decide, so that each is the same bits alone and among others.

    Args:
        weight: (C', C, k, k), or mirrored: (C, C', k, k).
        geometry: padding, stride, dilation and groups.
        size: of the features, (B, C, h, w).
        present: the form that weights are there for.
    """
    outputs, inputs = weight.shape[:2]
    border, stride, dilation, groups = geometry
    if border != [1, 1] or dilation != [1, 1] or groups != 1:
        return None
    height, width = (-(-side // step) for side, step in zip(size[2:], stride, strict=True))
    forms = [form for form in forms_of(weight) if form.outputs == 1 or stride == [1, 1]]
    if is_proving():
        return next((form for form in forms if form is present and form.fits(height, width)), None)
    for form in forms:
        is_worth = form.least <= height * width < form.below and outputs * inputs <= form.most
        if is_worth and form.fits(height, width):
            return form
    return None


def bytes_beside(weight: Tensor) -> int:
    """The most memory that what stands for the weights (C', C, k, k) of a convolution may take."""
    outputs, inputs = weight.shape[:2]
    sides = [form.outputs + 2 for form in forms_of(weight) if outputs * inputs <= form.most]
    return max(sides) ** 2 * outputs * inputs * weight.itemsize if sides else weight.nbytes


class Gathered:
    """A 3 × 3 convolution with a border of one pixel as one product: each pixel's nine neighbours side by side.

    Args:
        weight: (C', C, 3, 3).
        stride: of the outputs.
        pack: what makes a linear layer, called with features (…, 9 C) and a bias, from its matrix (C', 9 C); left out,
            products are with the weights as they lie, without a copy of them.
    """

    def __init__(self, weight: Tensor, stride: int, pack: Callable[[Tensor], Product] | None = None) -> None:
        self.stride, matrix = stride, weight.flatten(1)
        self.product: Product = lambda near, bias: functional.linear(near, matrix, bias)
        if pack is not None:
            self.product = pack(weight.permute(0, 2, 3, 1).flatten(1))
        self.is_packed = pack is not None

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The convolution of (B, C, h, w), with a bias (C',)."""
        padded, (height, width) = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)), x.shape[2:]
        places = [(i, j) for i in range(3) for j in range(3)]
        near = [padded[:, i : i + height : self.stride, j : j + width : self.stride] for i, j in places]
        together = torch.cat(near, -1) if self.is_packed else torch.stack(near, -1).flatten(-2)
        return self.product(together, bias).permute(0, 3, 1, 2)


class Winograd:
    """A 3 × 3 convolution of stride 1 with a border of one pixel, by tiles of one form.

    Args:
        weight: (C', C, 3, 3), float32.
        form: of the tiles.
    """

    def __init__(self, weight: Tensor, form: Form) -> None:
        self.form, (self.channels, inputs) = form, weight.shape[:2]
        axis = torch.tensor(form.filters, dtype=weight.dtype)
        self.weights = (torch.kron(axis, axis) @ weight.reshape(-1, 9).t()).view(-1, self.channels, inputs)

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """The convolution of (B, C, h, w), channels-last; h and w are multiples of the tiles' side; bias (C',)."""
        count, channels, height, width = x.shape
        side = self.form.outputs
        span, high, wide = side + 2, height // side, width // side
        rows = max(n for n in range(1, high + 1) if high % n == 0 and (n == 1 or n * count * wide <= TILES))
        padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        found = x.new_empty(count, height, width, self.channels)
        tall, part = (count, rows, width + 2, channels), (count, rows, wide)
        lines, line_spare = x.new_empty(span, *tall), x.new_empty(2, *tall)
        tiles, tile_spare = x.new_empty(span, span, *part, channels), x.new_empty(2, span, *part, channels)
        products = x.new_empty(span, span, *part, self.channels)
        halves, half_spare = x.new_empty(side, span, *part, self.channels), x.new_empty(4, span, *part, self.channels)
        for top in range(0, height, rows * side):
            bottom = top + rows * side
            self.form.spread([padded[:, top + i : bottom + i : side] for i in range(span)], lines, line_spare)
            columns = [lines[:, :, :, i : i + width : side] for i in range(span)]
            self.form.spread(columns, tiles.unbind(1), tile_spare)
            flat = products.view(span**2, -1, self.channels)
            torch.bmm(tiles.view(span**2, -1, channels), self.weights.mT, out=flat)
            self.form.gather(products, halves, half_spare)
            for i in range(side):
                line = found[:, top + i : bottom + i : side]
                self.form.gather(halves[i], [line[:, :, j::side] for j in range(side)], half_spare[:, 0])
                if bias is not None:
                    line.add_(bias)
        return found.permute(0, 3, 1, 2)
