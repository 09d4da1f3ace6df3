"""Tensors of which each process holds a part (`DTensor`), beside tensors that every process holds whole."""

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

__all__ = ["divide_like", "is_divided", "local_part", "whole"]


def is_divided(tensor: Tensor) -> bool:
    """Whether this process holds a part of it."""
    return isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor that is divided, for which every process must ask at once; any other is itself."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local_part(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that is divided; any other is itself."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def divide_like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor divided as another is; nothing is sent, for every process has it."""
    if not isinstance(other, DTensor) or isinstance(tensor, DTensor):
        return tensor
    return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)
