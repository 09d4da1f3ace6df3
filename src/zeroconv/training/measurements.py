"""What a run is measured by beside its losses: its learning rate, and the memory it takes."""

import os
import sys
from pathlib import Path

import torch

__all__ = ["measure", "memory_in_use"]

PAGES = Path("/proc/self/statm")  # of Linux


def measure(optimizer: torch.optim.Optimizer, device: str) -> dict[str, float]:
    """What else a line of the log says: the learning rate of its step, and `memory_in_use`."""
    return {"learning_rate": optimizer.param_groups[-1]["lr"], **memory_in_use(device)}


def memory_in_use(device: str) -> dict[str, int]:
    """Bytes in use: of this process, and of the GPU's memory that its tensors were given.

    Args:
        device: where the training runs.

    Returns:
        `memory`, where the system says it (the largest so far where it says no more), and `device_memory` on a GPU.
    """
    found: dict[str, int] = {}
    try:
        found["memory"] = int(PAGES.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        try:
            import resource
        except ImportError:  # Windows
            pass
        else:
            unit = 1 if sys.platform == "darwin" else 1024
            found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if torch.device(device).type == "cuda":
        found["device_memory"] = torch.cuda.memory_reserved(device)
    return found
