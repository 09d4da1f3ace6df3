"""Whether tensors are still those that something was made from: the weights of a network, or a text."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from zeroconv.control.low_rank import lora_layers

__all__ = ["Weights", "memory_of", "tensors_of"]

SAMPLED = 64
"""Numbers of each tensor that are looked at, or up to twice as many."""


def changes_of(tensor: Tensor) -> int:
    """How often a tensor was changed in place, through views too; 0 where nobody counts."""
    return 0 if tensor.is_inference() else tensor._version


def memory_of(tensor: Tensor) -> tuple[object, ...]:
    """Where a tensor's numbers lie, how, and how often they were changed in place."""
    return tensor.data_ptr(), tensor.shape, tensor.stride(), changes_of(tensor)


def tensors_of(parts: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Every tensor that decides what modules compute, those that low-rank layers borrow among them."""
    found: dict[str, Tensor] = {}
    for place, part in enumerate(parts):
        found |= {f"{place}.{name}": tensor for name, tensor in (*part.named_parameters(), *part.named_buffers())}
        for name, layer in lora_layers(part).items():
            found |= {f"{place}.{name}.layer.{key}": tensor for key, tensor in layer.layer.named_parameters()}
    return found


def sample_of(tensor: Tensor) -> Tensor:
    """Some of a tensor's numbers, of as many rows as can be, without a copy of the whole."""
    rows = tensor[(..., *(0,) * (tensor.ndim - 1))] if tensor.ndim > 1 and tensor.numel() else tensor.reshape(-1)
    return rows if rows.numel() <= SAMPLED else rows[:: rows.numel() // SAMPLED]


class Weights:
    """The modules and tensors of networks, to notice any change of them before a step at little cost.

    What is written through `tensor.data`, as averaged weights often are, torch does not count. So once for each call of a
    pipeline (`look_again`) some numbers of every tensor are compared as well.

    Args:
        parts: networks, kept so that their places in memory are nobody else's.
    """

    call: ClassVar[int] = 0

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        self.parts = tuple(parts)
        borrowed = [layer.layer for part in parts for layer in lora_layers(part).values()]
        self.members = [vars(module) for part in (*parts, *borrowed) for module in part.modules()]
        self.seen, self.numbers, self.looked = self.state(), self.sample(), Weights.call

    @classmethod
    def look_again(cls) -> None:
        """Have everything that was made from weights look at their numbers when it is used the next time."""
        cls.call += 1

    @torch.no_grad()
    def sample(self) -> Tensor:
        """Some numbers of every tensor, (n,), as whole numbers, so that NaN is equal to itself."""
        tensors = (one for own in self.members for one in (*own["_parameters"].values(), *own["_buffers"].values()))
        found = [sample_of(tensor) for tensor in tensors if tensor is not None]
        return torch.cat(found).double().view(torch.int64) if found else torch.zeros(0, dtype=torch.int64)

    def state(self) -> list[tuple[int, ...]]:
        """Of every module and what is hung onto it, and of every tensor where it lies and how often it was changed in place.

        Beside hooks a module may be given a method `forward` of its own, or diffusers' `processor`, a way of attention.
        """
        found: list[tuple[int, ...]] = []
        for own in self.members:
            found += [(id(part), 0) for part in own["_modules"].values()]
            if own["_forward_hooks"] or own["_forward_pre_hooks"] or "forward" in own or "processor" in own:
                set_there = (id(own.get("forward")), id(own.get("processor")))
                found.append((id(own), *own["_forward_hooks"], *own["_forward_pre_hooks"], *set_there))
            for tensor in (*own["_parameters"].values(), *own["_buffers"].values()):
                if tensor is not None:
                    found.append((tensor.data_ptr(), changes_of(tensor)))
        return found

    def are_of(self, *parts: nn.Module) -> bool:
        """Whether they are these networks', and nothing has changed."""
        same = len(parts) == len(self.parts) and all(one is other for one, other in zip(parts, self.parts, strict=True))
        if not same or self.state() != self.seen:
            return False
        if self.looked != Weights.call:
            self.looked = Weights.call
            if not torch.equal(self.sample(), self.numbers):
                self.seen = []  # of nothing any more
                return False
        return True
