"""Why a control does not take hold: nothing that could reach the network, or a learning rate far from any that works."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from zeroconv.control import ControlNet
from zeroconv.messages import Message

__all__ = ["diagnose", "diagnose_rate", "is_zero"]

AFTER = 1000  # steps after which a connection that never moved, or an encoder that sees nothing, is said
ALIKE = 1e-3  # of their length: features of two maps that differ by less are the same to the network
FAR = 30.0  # times the learning rate found to work, or that part of it


def connections_of(network: ControlNet) -> list[nn.Module]:
    """The layers through which everything that the network says reaches the base, the middle one last."""
    return [*network.controlnet_down_blocks, network.controlnet_mid_block]


def is_zero(network: ControlNet) -> bool:
    """Whether all connections are exactly zero, as those of a new network are: it then changes nothing."""
    return not any(bool(p.any()) for layer in connections_of(network) for p in layer.parameters())


@torch.no_grad()
def diagnose(network: ControlNet, step: int, maps: Tensor) -> Iterator[Message]:
    """What keeps the condition from the network after a good while of training; nothing before.

    Args:
        network: that is trained.
        step: steps done.
        maps: two different condition images, (2, 3, H, W) in [0, 1].
    """
    if step < AFTER:
        return
    connections = connections_of(network)
    still = [number for number, layer in enumerate(connections) if not any(p.any() for p in layer.parameters())]
    if still:
        count = f"{len(still)} of {len(connections)} connections are" if len(still) > 1 else "a connection is"
        where = ", ".join("the middle one" if number == len(connections) - 1 else f"number {number}" for number in still[:3])
        text = f"{count} exactly zero after {step} steps ({where}): no gradient has reached it; nothing is controlled there"
        yield Message(text, "run.dead-connection")
    first, second = network.encode_condition(maps.to(next(network.parameters()).device)).float()
    apart, length = float((first - second).norm()), float(torch.maximum(first.norm(), second.norm()))
    if apart <= ALIKE * length:
        told = f"differ by {apart / length:.0e} of their length" if length else "are zero"
        text = f"the condition encoder does not tell two maps apart after {step} steps: their features {told}, so that nothing"
        yield Message(f"{text} of the condition can reach the network; are the maps all alike?", "run.blind-encoder")


def diagnose_rate(rate: float, usual: float) -> Message | None:
    """What there is to say about a learning rate.

    Args:
        rate: asked for, at its highest.
        usual: the one that was found to work for a base of this width.
    """
    if usual / FAR <= rate <= usual * FAR:
        return None
    side, danger = ("above", "may diverge") if rate > usual else ("below", "may take very long to show any control")
    factor = max(rate / usual, usual / rate)
    text = f"learning_rate {rate:g} is {factor:,.0f} times {side} {usual:g}, with which bases of this width learn: it {danger}"
    return Message(text, "run.unusual-rate")
