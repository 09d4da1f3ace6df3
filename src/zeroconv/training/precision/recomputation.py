"""Gradient checkpointing: blocks whose activations are computed again in the backward pass (T. Chen et al., 2016).

*Training Deep Nets with Sublinear Memory Cost*, arXiv 1604.06174. Nothing changes but memory and time: on a CPU loss and
gradients are the same to the last bit.
"""

import copy
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

__all__ = ["recompute_blocks"]

Network = TypeVar("Network", bound=nn.Module)


class RecomputedBlock(nn.Module):
    """A block that keeps its inputs alone for the backward pass, and looks like the block otherwise."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def __getattr__(self, name: str) -> Any:
        """Whatever this does not have is the block's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the block gives."""
        if not torch.is_grad_enabled():
            return self.block(*args, **kwargs)
        # no block draws anything: the global generator, whose state would be kept and set, is the user's
        return checkpoint(self.block, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)


def recompute_blocks(network: Network, names: Sequence[str]) -> Network:
    """The same network, sharing all its weights, with some of its blocks computed again in the backward pass.

    Args:
        network: left as it is.
        names: of its blocks, or of lists of them: "up_blocks", "mid_block".
    """
    view = copy.copy(network)
    modules = dict(network.named_children())
    for name in names:
        found = modules[name]
        several = isinstance(found, nn.ModuleList)
        modules[name] = nn.ModuleList(map(RecomputedBlock, found)) if several else RecomputedBlock(found)
    view.__dict__["_modules"] = modules
    return view
