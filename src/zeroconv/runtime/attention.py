"""Attention of many heads over tokens that lie side by side."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from zeroconv.runtime.processor import multiplies_tiles

__all__ = ["attend"]

BLOCK = 4 << 20
"""Bytes of a block of scores: few enough for the processor's caches."""
SHORT = 128
"""Tokens that are looked at, up to which the fused kernel's blocks stay half empty."""
STRIPE = 16
"""Numbers of a value that are multiplied out at a time: with others at its end a product takes a third longer."""


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(q kᵀ · scale) v, (B, heads, S, d) from queries (B, heads, S, d), keys and values (B, heads, L, d).

    PyTorch's fused kernel for the CPU gains little where L is short, as in attention to the text, and nothing from bfloat16
    unless the processor multiplies tiles of it: there a block of scores at a time is multiplied out, of as many queries of a
    head, and then heads, as the caches hold.
    """
    is_fused = multiplies_tiles() if q.dtype == torch.bfloat16 else k.shape[2] > SHORT
    if q.device.type != "cpu" or is_fused:
        return functional.scaled_dot_product_attention(q, k, v, scale=scale)
    batch, heads, count, width = q.shape
    groups, length, numbers = batch * heads, k.shape[2], BLOCK // q.element_size()
    q, keys = q.reshape(groups, count, width), k.reshape(groups, length, width).transpose(1, 2)
    if groups * count * length <= numbers:
        scores = torch.baddbmm(q.new_empty(1, 1, 1).expand(groups, count, length), q, keys, beta=0, alpha=scale)
        return torch.bmm(scores.softmax(-1), v.reshape(groups, length, width)).view(batch, heads, count, width)
    values = functional.pad(v, (0, -width % STRIPE)).reshape(groups, length, -1)
    found = q.new_empty(groups, count, values.shape[2])
    rows = min(count, max(1, numbers // length))
    some = max(1, numbers // (rows * length))
    spare = q.new_empty(2, some * rows * length)
    for first in range(0, groups, some):
        part = slice(first, first + some)
        for top in range(0, count, rows):
            attend_block(q[part, top : top + rows], keys[part], values[part], scale, spare, found[part, top : top + rows])
    return found[..., :width].view(batch, heads, count, width)


def attend_block(q: Tensor, keys: Tensor, v: Tensor, scale: float, spare: Tensor, out: Tensor) -> None:
    """softmax(q · keys · scale) v into `out` (G, S, d), of queries (G, S, d'), keys (G, d', L) and values (G, L, d).

    `spare` is memory for scores and weights, (2, G · S · L or more).
    """
    shape = len(q), q.shape[1], keys.shape[2]
    scores, weights = spare[:, : math.prod(shape)].view(2, *shape)
    torch.baddbmm(scores, q, keys, beta=0, alpha=scale, out=scores)
    torch.bmm(torch.softmax(scores, -1, out=weights), v, out=out)
