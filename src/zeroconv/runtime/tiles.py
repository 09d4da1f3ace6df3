"""Large features tile by tile: overlapping tiles, blended where they overlap, normalized as parts of one picture."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from zeroconv.runtime.normalization import Normalization

__all__ = ["Grain", "run_in_tiles"]

OVERLAP = 4
"""Tiles overlap by at least this part of their side."""

Grain = tuple[int, int]
"""Numbers along a side, of what goes into the tiles and of what comes out, for one latent: (1, 8) in a decoder."""


def run_in_tiles(run: Callable[[Tensor], Tensor], norms: Sequence[Normalization], x: Tensor, side: int, grain: Grain) -> Tensor:
    """What `run` makes of `x`, up to a small error, in the memory that one tile takes.

    A convolution sees its surroundings, of which tiles have enough in common. A group normalization sees the whole: a tile
    normalized by itself comes out in colours of its own. So the numbers by which all of them are normalized are measured
    beforehand, on the whole picture with most of its rows and columns left out.

    Args:
        run: from features (B, C, h · a, w · a) to (B, C', h · b, w · b), for grain (a, b).
        norms: the normalizations in `run`.
        x: the features of the whole.
        side: of a tile, in latents.
        grain: a and b.

    Returns:
        (B, C', h · b, w · b) in float32.
    """
    into, out = grain
    height, width = x.shape[-2] // into, x.shape[-1] // into
    rows, columns = spread(height, side), spread(width, side)
    if len(rows) == len(columns) == 1:
        return run(x).float()
    few = functional.interpolate(x, size=(min(side, height) * into, min(side, width) * into), mode="nearest")
    try:
        for norm in norms:
            norm.measures = True
        run(few)
        for norm in norms:
            norm.measures = False
        total, weights = x.new_empty(0), x.new_zeros(height * out, width * out, dtype=torch.float32)
        for top in rows:
            for left in columns:
                tile = run(x[..., top * into : (top + side) * into, left * into : (left + side) * into]).float()
                if not total.numel():
                    total = tile.new_zeros(*tile.shape[:2], *weights.shape)
                fade = ramp(top, side, height, out)[:, None] * ramp(left, side, width, out)
                place = slice(top * out, top * out + tile.shape[-2]), slice(left * out, left * out + tile.shape[-1])
                total[:, :, *place] += tile * fade.to(tile)
                weights[place] += fade.to(weights)
        return total.div_(weights)
    finally:
        for norm in norms:
            norm.measures, norm.moments = False, None


def spread(length: int, side: int) -> list[int]:
    """Where tiles begin that cover a length, as few and as evenly as the overlap allows."""
    if length <= side:
        return [0]
    steps = math.ceil((length - side) / (side - side // OVERLAP))
    return [round(i * (length - side) / steps) for i in range(steps + 1)]


def ramp(start: int, side: int, length: int, grain: int) -> Tensor:
    """Weights along a tile, `grain` for each latent: 1, falling towards other tiles, never 0."""
    side, overlap = min(side, length), max(1, side // OVERLAP)
    weights, rise = torch.ones(side * grain), (torch.arange(overlap * grain) + 0.5) / (overlap * grain)
    if start > 0:
        weights[: len(rise)] = rise
    if start + side < length:
        weights[-len(rise) :] = torch.minimum(weights[-len(rise) :], rise.flip(0))
    return weights
