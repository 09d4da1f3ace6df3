"""Which channels of the condition image are which condition's: three for each map, in the order of the conditions."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from zeroconv.control.network import ControlNet

__all__ = ["CHANNELS", "read_conditions"]

CHANNELS = 3
"""Of the map of one condition."""


@torch.no_grad()
def read_conditions(network: ControlNet, before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Have a network read the maps of other conditions; nothing changes as long as the new maps' weights are not trained.

    The first layer of the condition encoder keeps the weights of the conditions that stay, wherever they stood; those of new
    conditions are zero, those of others are let go. Where none stays, the first new condition takes over the first's weights.

    Args:
        network: a ControlNet; its first layer and its configuration are replaced.
        before: the conditions that it read.
        after: those that it is to read.

    Returns:
        The conditions, of those after, that have the weights of one before.

    Raises:
        ValueError: for a ControlNet-Union, or one that reads another number of channels than three for each condition.
    """
    channels = network.config.conditioning_channels
    if network.config.union is not None:
        raise ValueError(
            f"{network.name} is a ControlNet-Union, which reads one map at a time; several at once are no form of it"
        )
    if channels != CHANNELS * len(before):
        named = " and ".join(before)
        raise ValueError(
            f"{network.name} reads {channels} channels; expected {CHANNELS * len(before)}, for its condition {named}"
        )
    origins = {name: before.index(name) for name in after if name in before} or {after[0]: 0}
    first = first_layer(network)
    old = first.weight.flip(1) if network.config.channel_order == "bgr" else first.weight
    new = old.new_zeros(old.shape[0], CHANNELS * len(after), *old.shape[2:])
    for name, origin in origins.items():
        new.unflatten(1, (-1, CHANNELS))[:, after.index(name)] = old.unflatten(1, (-1, CHANNELS))[:, origin]
    first.weight, first.in_channels = nn.Parameter(new, first.weight.requires_grad), new.shape[1]
    network.config = replace(network.config, conditioning_channels=new.shape[1], channel_order="rgb", condition="+".join(after))
    return list(origins)


def first_layer(network: ControlNet) -> nn.Conv2d:
    """The layer of the condition encoder that reads the condition image."""
    return next(layer for layer in network.controlnet_cond_embedding.modules() if isinstance(layer, nn.Conv2d))
