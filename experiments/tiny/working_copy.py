"""Training in bfloat16 with float32 master weights, and attention written out in matrix products.

On an AMD processor with AVX512-BF16 a step of the tiny base takes about half the time in bfloat16 that float32 takes, on an
Intel one without AMX a quarter more, so it is measured: `fastest`. The fused attention kernel's backward pass is slow in
bfloat16, which is why attention is written out.
"""

import copy
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
Way = tuple[torch.dtype, torch.memory_format]


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


WAYS = (
    (torch.bfloat16, torch.contiguous_format),
    (torch.float32, torch.contiguous_format),
    (torch.float32, torch.channels_last),
)
"""Types and layouts that a CPU may be fastest in."""


def fastest(masters: Network, loss: Callable[[Network], Tensor], device: str) -> WorkingCopy[Network]:
    """The working copy that computes `loss` and its gradients in the least time; on a GPU the one in bfloat16.

    Args:
        masters: as for `WorkingCopy`; its weights' layout may change, its numbers do not.
        loss: a number of the network it is given.
        device: of the masters.
    """
    if device != "cpu":
        return WorkingCopy(masters, torch.bfloat16)

    def seconds(way: Way) -> float:
        network, taken = copy.deepcopy(masters).to(dtype=way[0], memory_format=way[1]), list[float]()
        for _ in range(2):
            began = time.perf_counter()
            loss(network).backward()
            taken.append(time.perf_counter() - began)
        return min(taken)

    dtype, layout = min(WAYS, key=seconds)
    return WorkingCopy(masters.to(memory_format=layout), dtype)
