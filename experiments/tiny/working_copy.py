"""Training in bfloat16 with float32 master weights, and attention written out in matrix products.

On a CPU with AVX512-BF16 a step of the tiny base takes about half the time that float32 takes; the fused attention
kernel's backward pass is slow in bfloat16 there, which is why attention is written out. Without such a processor
float32 is faster: see `has_fast_bfloat16`.
"""

import copy
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def has_fast_bfloat16(device: str) -> bool:
    """Whether products in bfloat16 are faster than in float32: on GPUs, and on CPUs with AVX512-BF16 or AMX."""
    if device != "cpu":
        return True
    flags = Path("/proc/cpuinfo")
    return flags.exists() and "avx512_bf16" in flags.read_text("utf-8")


class WrittenOutAttention:
    """softmax(Q K^T / sqrt(d)) V as products of matrices, a processor for diffusers' `Attention`."""

    def __call__(
        self, attention: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        """Attend from `hidden_states` (B, N, C) to `encoder_hidden_states` (B, M, D), or to itself."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        (batch, queries, _), keys, heads = hidden_states.shape, context.shape[1], attention.heads
        q = (attention.to_q(hidden_states) * attention.scale).view(batch, queries, heads, -1).transpose(1, 2)
        k = attention.to_k(context).view(batch, keys, heads, -1).permute(0, 2, 3, 1)
        v = attention.to_v(context).view(batch, keys, heads, -1).transpose(1, 2)
        attended = (q @ k).softmax(-1) @ v  # (B, heads, N, C / heads)
        return attention.to_out[0](attended.transpose(1, 2).reshape(batch, queries, -1))


def write_out_attention(network: Network) -> Network:
    """The same network, its attention written out."""
    for module in network.modules():
        if isinstance(module, Attention):
            module.set_processor(WrittenOutAttention())
        elif hasattr(module, "set_attn_implementation"):
            module.set_attn_implementation("eager")  # transformers' text encoders
    return network


class WorkingCopy(Generic[Network]):
    """A network in float32 that is updated, and its copy in another type that computes.

    Args:
        masters: the network with the float32 weights; an optimizer updates its parameters.
        dtype: of the copy; with float32 the copy is the network itself.
    """

    def __init__(self, masters: Network, dtype: torch.dtype) -> None:
        self.same = dtype == torch.float32
        self.network = masters if self.same else copy.deepcopy(masters).to(dtype)
        self.masters, self.copies = list(masters.parameters()), list(self.network.parameters())

    def take_gradients(self) -> None:
        """Move the copy's gradients to the masters, in float32."""
        for master, copied in zip(self.masters, self.copies, strict=True) if not self.same else ():
            master.grad = None if copied.grad is None else copied.grad.float()
            copied.grad = None

    @torch.no_grad()
    def refresh(self) -> None:
        """Give the copy the masters' weights, after an update."""
        for master, copied in zip(self.masters, self.copies, strict=True) if not self.same else ():
            copied.copy_(master)
