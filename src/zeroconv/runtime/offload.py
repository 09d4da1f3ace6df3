"""Weights that are on the GPU only while they compute, for networks that do not fit into its memory."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from zeroconv.errors import InputError

__all__ = ["OFFLOADS", "Offload", "OffloadKind"]

OffloadKind = Literal["model", "sequential"]
OFFLOADS: tuple[str, ...] = get_args(OffloadKind)


class Offload:
    """Networks that wait in the memory of the CPU.

    `model` brings a whole network to the device while it is in use: text encoders, then the U-Net, then the autoencoder.
    `sequential` brings one layer at a time: the device holds the weights of a single layer, and every step moves all of them.
    What a layer is given is brought along. Nothing is brought back, for the weights in the CPU's memory were never let go.

    Args:
        kind: "model" or "sequential".
        device: where networks compute.

    Raises:
        InputError: unless the device is a GPU.
    """

    def __init__(self, kind: OffloadKind, device: torch.device) -> None:
        if device.type == "cpu":
            message = f"offload {kind} is for a GPU; the device is {device}"
            raise InputError(message, field="offload", hint="on a CPU vae_tile and weights in 8 bits save memory")
        self.kind, self.device = kind, device

    @contextmanager
    def use(self, *networks: nn.Module) -> Generator[None]:
        """Inside the block the networks compute on the device; afterwards they are as they were."""
        with ExitStack() as stack:
            for network in networks:
                if self.kind == "model":
                    for module in network.modules():
                        stack.enter_context(self.brought(module))
                    continue
                stack.enter_context(self.brought(network))
                for module in network.modules():
                    if module is not network and next(own_tensors(module), None) is not None:
                        held: list[ExitStack] = []
                        before = module.register_forward_pre_hook(partial(self.enter, held), with_kwargs=True)
                        stack.callback(before.remove)
                        after = module.register_forward_hook(partial(leave, held), always_call=True)
                        stack.callback(after.remove)
            yield

    def enter(self, held: list[ExitStack], module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Bring a layer, and what it is given."""
        stack = ExitStack()
        stack.enter_context(self.brought(module))
        held.append(stack)
        return tuple(map(self.moved, args)), {name: self.moved(value) for name, value in kwargs.items()}

    def moved(self, value: Any) -> Any:
        """A tensor on the device; anything else as it is."""
        return self.move(value) if isinstance(value, Tensor) else value

    def move(self, tensor: Tensor) -> Tensor:
        """A tensor on the device."""
        return tensor.to(self.device)

    @contextmanager
    def brought(self, module: nn.Module) -> Generator[None]:
        """Inside the block a module's own tensors are on the device, those of its parts as they were."""
        parameters = [(one, one.data) for one in module.parameters(recurse=False)]
        buffers = dict(module.named_buffers(recurse=False))
        try:
            for parameter, kept in parameters:
                parameter.data = self.move(kept)
            for name, kept in buffers.items():
                setattr(module, name, self.move(kept))
            yield
        finally:
            for parameter, kept in parameters:
                parameter.data = kept
            for name, kept in buffers.items():
                setattr(module, name, kept)


def own_tensors(module: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers of a module, those of its parts left out."""
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)


def leave(held: list[ExitStack], module: nn.Module, args: Any, output: Any) -> None:
    """Let a layer's weights on the device go."""
    if held:
        held.pop().close()
