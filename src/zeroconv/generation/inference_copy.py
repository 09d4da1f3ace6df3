"""Networks as a pipeline runs them: in evaluation mode, on its device and in its dtype, the caller's own left alone."""

import copy
from collections.abc import Iterator
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

__all__ = ["InferenceCopies"]

Network = TypeVar("Network", bound=nn.Module)


class InferenceCopies:
    """Copies of networks for inference, whose tensors are the caller's own wherever device and dtype already fit.

    A network in training is run without dropout and stays in training: its modules are copied, which costs milliseconds,
    and its parameters are shared, so that the copy always has the newest weights. Tensors that must be converted are
    converted once and again after they have changed.
    """

    def __init__(self) -> None:
        self.converted: WeakKeyDictionary[nn.Module, dict[str, Converted]] = WeakKeyDictionary()

    def get(self, network: Network, device: torch.device, dtype: torch.dtype) -> Network:
        """The network itself if it fits and is in evaluation mode, else a copy that does.

        Args:
            network: any; it is not changed.
            device: where the copy computes.
            dtype: of its floating-point tensors.
        """
        fits = all(tensor.device == device and fitting(tensor, dtype) == tensor.dtype for _, tensor in tensors_of(network))
        if fits and not any(module.training for module in network.modules()):
            return network
        before, after = self.converted.get(network, {}), dict[str, Converted]()
        memo: dict[int, object] = {}
        for name, tensor in tensors_of(network):
            kind = fitting(tensor, dtype)
            if tensor.device == device and tensor.dtype == kind:
                memo[id(tensor)] = tensor
                continue
            found = before.get(name)
            if found is None or not found.is_of(tensor, device, kind):
                found = Converted(tensor, device, kind)
            after[name] = found
            memo[id(tensor)] = nn.Parameter(found.result, False) if isinstance(tensor, nn.Parameter) else found.result
        self.converted[network] = after
        return copy.deepcopy(network, memo).eval()


class Converted:
    """One tensor on another device or in another dtype, and what it was made from.

    Args:
        source: the tensor.
        device: of the result.
        dtype: of the result.
    """

    def __init__(self, source: Tensor, device: torch.device, dtype: torch.dtype) -> None:
        # A view of the source shares its memory and its count of changes in place, and keeps the address from others.
        self.source, self.version = source.detach(), source._version
        self.result = source.detach().to(device, dtype)

    def is_of(self, tensor: Tensor, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether it is what `tensor`, as it is now, would be converted to."""
        return (
            self.source.data_ptr() == tensor.data_ptr()
            and self.source.dtype == tensor.dtype
            and self.version == tensor._version
            and self.result.device == device
            and self.result.dtype == dtype
        )


def tensors_of(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by name; one that two modules share comes once."""
    yield from network.named_parameters()
    yield from network.named_buffers()


def fitting(tensor: Tensor, dtype: torch.dtype) -> torch.dtype:
    """The dtype a tensor gets: integers and truth values keep theirs."""
    return dtype if tensor.is_floating_point() else tensor.dtype
