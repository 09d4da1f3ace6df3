"""Attention of many heads over tokens that lie side by side."""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["attend"]

CHUNK = 8 << 20
"""Bytes of a block of scores in half precision: about what stays in a core's cache."""


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(q kᵀ · scale) v, (B, heads, S, d) from queries (B, heads, S, d), keys and values (B, heads, L, d).

    PyTorch's fused kernel for the CPU gains nothing from bfloat16; there a block of queries at a time is multiplied out.
    """
    if q.dtype != torch.bfloat16 or q.device.type != "cpu":
        return functional.scaled_dot_product_attention(q, k, v, scale=scale)
    batch, heads, count, width = q.shape
    groups, length = batch * heads, k.shape[2]
    q, v = (q * scale).reshape(groups, count, width), v.reshape(groups, length, width)
    keys = k.reshape(groups, length, width).transpose(1, 2)
    rows = max(64, min(count, CHUNK // (groups * length * 2) // 64 * 64))
    blocks = [torch.bmm(torch.bmm(q[:, i : i + rows], keys).softmax(-1), v) for i in range(0, count, rows)]
    return (blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)).view(batch, heads, count, width)
