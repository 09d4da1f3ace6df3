"""Attention of many heads over tokens that lie side by side."""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["attend"]

CHUNK = 8 << 20
"""Bytes of a block of scores: about what stays in a core's cache."""
SHORT = 128
"""Tokens that are looked at, up to which the fused kernel's blocks stay half empty."""


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(q kᵀ · scale) v, (B, heads, S, d) from queries (B, heads, S, d), keys and values (B, heads, L, d).

    PyTorch's fused kernel for the CPU gains nothing from bfloat16 and little where L is short, as in attention to the text:
    there a block of queries at a time is multiplied out.
    """
    if q.device.type != "cpu" or (q.dtype != torch.bfloat16 and k.shape[2] > SHORT):
        return functional.scaled_dot_product_attention(q, k, v, scale=scale)
    batch, heads, count, width = q.shape
    groups, length = batch * heads, k.shape[2]
    q, v = q.reshape(groups, count, width), v.reshape(groups, length, width)
    keys = k.reshape(groups, length, width).transpose(1, 2)
    rows = max(64, min(count, CHUNK // (groups * length * q.element_size()) // 64 * 64))
    blocks = [attend_block(q[:, i : i + rows], keys, v, scale) for i in range(0, count, rows)]
    return (blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)).view(batch, heads, count, width)


def attend_block(q: Tensor, keys: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(q · keys · scale) v of queries (G, S, d), keys (G, d, L) and values (G, L, d)."""
    nothing = q.new_empty(1, 1, 1).expand(len(q), q.shape[1], keys.shape[2])
    return torch.bmm(torch.baddbmm(nothing, q, keys, beta=0, alpha=scale).softmax(-1), v)
