"""How far a compiled network is from its modules."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from zeroconv.control.low_rank import merge_lora
from zeroconv.runtime.proof import ALLOWED, difference

__all__ = ["WORSE", "error_of", "in_float32", "widen"]

WORSE = 2.0
"""In half precision both sides err: a compiled network may be this many times as far from float32 as its modules are."""

Given = TypeVar("Given")


def error_of(found: Tensor, expected: Tensor, dtype: torch.dtype, exact: Callable[[], Tensor]) -> float:
    """The relative difference of two results, or what is allowed where it is larger only because the modules err as much.

    Args:
        found: of the compiled network.
        expected: of its modules.
        dtype: that both compute in.
        exact: the modules' result in float32.
    """
    direct, allowed = difference(found, expected), ALLOWED[dtype]
    if dtype == torch.float32 or direct <= allowed or direct == float("inf"):
        return direct
    reference = exact()
    return allowed if difference(found, reference) <= WORSE * difference(expected, reference) else direct


def in_float32(module: nn.Module) -> Any:
    """A copy of a module that computes in float32, low-rank updates written out."""
    return merge_lora(copy.deepcopy(module)).float()


def widen(value: Given) -> Given:
    """A tensor in float32; anything else as it is."""
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value  # type: ignore[return-value]
