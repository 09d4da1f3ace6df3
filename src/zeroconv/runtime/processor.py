"""What the processor is good at, by what PyTorch knows of it."""

from functools import cache

import torch

__all__ = ["made_by_intel", "multiplies_tiles"]


@cache
def capabilities() -> dict[str, object]:
    """By name; empty where PyTorch is too old to tell."""
    return getattr(torch.cpu, "get_capabilities", dict)()


def made_by_intel() -> bool:
    """Whether the processor is one for which MKL was written; False where that cannot be told."""
    return "Intel" in str(capabilities().get("cpu_name", ""))


def multiplies_tiles() -> bool:
    """Whether the processor multiplies whole tiles of bfloat16 (AMX), ten times as fast as it multiplies float32.

    It does so faster than it reads memory: what counts there is how often, and in which order, numbers are read.
    """
    return bool(capabilities().get("amx_bf16"))
