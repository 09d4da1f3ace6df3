"""Networks that stay open between jobs: within a budget of memory, the least recently used go first."""

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from zeroconv.control import ControlNet
from zeroconv.generation import BaseRequest, ControlPipeline, open_base
from zeroconv.service.previews import LatentColours
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["ModelCache", "WarmBase", "count_bytes"]


@dataclass
class WarmBase:
    """An open base, and what was opened for it.

    Attributes:
        pipeline: of the base.
        colours: of its latents.
        opened: its ControlNets by name, see `zeroconv.generation.generate`.
        used: when each ControlNet was used last.
        last: when the base was.
    """

    pipeline: ControlPipeline
    colours: LatentColours
    opened: dict[str, ControlNet] = field(default_factory=dict[str, ControlNet])
    used: dict[str, float] = field(default_factory=dict[str, float])
    last: float = 0.0


class ModelCache:
    """Bases and ControlNets by name.

    Args:
        memory: bytes that all of them may take together; the ones of the running job may take more.
        device: of torch; None is the best there is.
        open_one: opens a base.
    """

    def __init__(
        self,
        memory: int,
        device: str | None = None,
        open_one: Callable[[BaseRequest], StableDiffusion] = open_base,
    ) -> None:
        self.memory, self.device, self.open_one = memory, device, open_one
        self.bases: dict[str, WarmBase] = {}

    def get(self, name: str, networks: Iterable[str]) -> WarmBase:
        """A base, opened if it is not, and marked as used with the ControlNets that a job names.

        Raises:
            InputError: when it cannot be opened.
        """
        if name not in self.bases:
            self.make_room(())
            base = self.open_one(BaseRequest(name=name, device=self.device))
            self.bases[name] = WarmBase(ControlPipeline(base), LatentColours(base))
        warm, now = self.bases[name], time.monotonic()
        warm.last = now
        for network in networks:
            warm.used[network] = now
        return warm

    def size(self) -> int:
        """Bytes of all networks that are open; on a CPU they are packed as well, which takes about as much again."""
        found = count_bytes(network for warm in self.bases.values() for network in networks_of(warm))
        return found * (2 if any(warm.pipeline.ways.runners for warm in self.bases.values()) else 1)

    def make_room(self, needed: Iterable[tuple[str, str | None]]) -> None:
        """Let networks go until the rest fits into the budget.

        Args:
            needed: what stays whatever it takes: a base, or a ControlNet of one, as (base, network or None).
        """
        kept = set(needed)
        candidates = [(warm.used.get(key, 0.0), base, key) for base, warm in self.bases.items() for key in warm.opened]
        candidates += [(warm.last, base, None) for base, warm in self.bases.items()]
        candidates.sort(key=lambda one: (one[0], one[2] is None))
        before = self.size()
        for _, base, network in candidates:
            if self.size() <= self.memory:
                break
            if (base, network) not in kept and base in self.bases:
                self.drop(base, network)
        if self.size() < before:
            free()

    def drop(self, base: str, network: str | None) -> None:
        """Let a base go with all that was opened for it, or one ControlNet of it."""
        warm = self.bases[base]
        if network is None:
            del self.bases[base]
        else:
            warm.opened.pop(network, None)
            warm.used.pop(network, None)
            warm.pipeline.ways.runners.clear()  # which hold packed copies

    def clear(self) -> None:
        """Let everything go."""
        self.bases.clear()
        free()


def networks_of(warm: WarmBase) -> list[nn.Module]:
    """All networks of a base."""
    return [*warm.pipeline.base.networks, *warm.opened.values()]


def count_bytes(networks: Iterable[nn.Module]) -> int:
    """Bytes of all tensors of networks, shared ones once."""
    found: dict[int, int] = {}
    for network in networks:
        for tensor in (*network.parameters(), *network.buffers()):
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    return sum(found.values())


def free() -> None:
    """Give memory back that nothing refers to."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
