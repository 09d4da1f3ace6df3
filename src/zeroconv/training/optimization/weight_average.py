"""An exponential moving average of the weights."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    """`average = decay · average + (1 - decay) · weights` after each step, in the weights' precision.

    The decay rises with the steps, min(decay, (1 + step) / (10 + step)), so that the start is forgotten soon.

    Args:
        network: whose trainable parameters are averaged.
        decay: in (0, 1), such as 0.999.
        on_cpu: whether the averages lie in the machine's memory; else where the weights are.
    """

    def __init__(self, network: nn.Module, decay: float, on_cpu: bool = False) -> None:
        self.decay = decay
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.on_cpu = on_cpu
        self.tensors: Mapping[str, Tensor] = {name: self.place(p.detach()).clone() for name, p in self.parameters.items()}

    def place(self, weight: Tensor) -> Tensor:
        """A weight where its average lies."""
        return weight.cpu() if self.on_cpu else weight

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in self.parameters.items():
            self.tensors[name].lerp_(self.place(parameter), 1 - decay)

    @contextmanager
    def in_use(self) -> Generator[None]:
        """Inside, the network has the averaged weights."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and averages, whose tensors stay where they are."""
        for name, parameter in self.parameters.items():
            kept = parameter.detach().clone()
            parameter.copy_(self.tensors[name])
            self.tensors[name].copy_(kept)
