"""Networks as a pipeline runs them: in evaluation mode, on its device and in its dtype, the caller's own left as they were."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["prepare_for_inference"]

Network = TypeVar("Network", bound=nn.Module)


@contextmanager
def prepare_for_inference(networks: Sequence[Network], device: torch.device, dtype: torch.dtype) -> Generator[list[Network]]:
    """Inside the block every network can be run without dropout, on one device and in one dtype.

    One that fits is itself; if it is in training it is in evaluation mode for as long as the block lasts, and every module of
    it is in its own mode again afterwards, however the block ends. One that does not fit is converted anew, and the copy is
    let go with the block.

    Args:
        networks: any; one that comes twice is converted once.
        device: where they compute.
        dtype: of their floating-point tensors.
    """
    conversion = Conversion(device, dtype)  # one for all: what networks share, their copies share
    ready: dict[int, Network] = {}
    modes: list[tuple[nn.Module, bool]] = []
    try:
        for network in networks:
            if id(network) in ready:
                continue
            fits = all(needs_no_copy(tensor, device, dtype) for tensor in (*network.parameters(), *network.buffers()))
            ready[id(network)] = network if fits else conversion.copy(network)
            if fits:
                modes += [(module, module.training) for module in network.modules()]
                for module in network.modules():
                    module.training = False
        yield [ready[id(network)] for network in networks]
    finally:
        for module, training in modes:
            module.training = training


class Conversion:
    """Copies of modules that share everything with them but the tensors that must be converted, and the mode.

    Hooks and attributes are the caller's own objects: what a hook notes, its owner sees. Tensors that fit are shared.

    Args:
        device: of the tensors.
        dtype: of those that are floating-point.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.modules: dict[int, nn.Module] = {}
        self.tensors: dict[int, Tensor] = {}

    def copy(self, module: Network) -> Network:
        """A copy in evaluation mode; a module or tensor that is used twice is copied once."""
        if id(module) not in self.modules:
            self.modules[id(module)] = twin = type(module).__new__(type(module))
            shared: dict[str, Any] = vars(module)
            parts = {
                "training": False,
                "_parameters": {name: self.convert(one) for name, one in shared["_parameters"].items()},
                "_buffers": {name: self.convert(one) for name, one in shared["_buffers"].items()},
                "_modules": {name: None if one is None else self.copy(one) for name, one in shared["_modules"].items()},
            }
            vars(twin).update(shared | parts)  # past `nn.Module.__setattr__`, which sorts what it is given
        copied = self.modules[id(module)]
        assert isinstance(copied, type(module)), "made by its class"
        return copied

    def convert(self, tensor: Tensor | None) -> Tensor | None:
        """A tensor on the device and in the dtype: itself if it is."""
        if tensor is None or needs_no_copy(tensor, self.device, self.dtype):
            return tensor
        if id(tensor) not in self.tensors:
            found = tensor.detach().to(self.device, self.dtype if tensor.is_floating_point() else tensor.dtype)
            self.tensors[id(tensor)] = nn.Parameter(found, False) if isinstance(tensor, nn.Parameter) else found
        return self.tensors[id(tensor)]


def needs_no_copy(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a tensor is on the device and in the dtype; integers and truth values keep theirs."""
    return tensor.device == device and (tensor.dtype == dtype or not tensor.is_floating_point())
