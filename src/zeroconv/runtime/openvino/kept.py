"""The compiled networks of a process: made when they are first asked for, proven, and let go when they are too many."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zeroconv.messages import Message, tell
from zeroconv.runtime.layers import UnknownModuleError
from zeroconv.runtime.openvino.compiled import CompiledNetwork, compile_graph, read_compiled, settings
from zeroconv.runtime.openvino.library import core, library
from zeroconv.runtime.openvino.networks import NetworkGraph, Shape
from zeroconv.runtime.openvino.store import SMALL, CompiledStore, content_key
from zeroconv.runtime.proof import ALLOWED
from zeroconv.runtime.weights import Weights, tensors_of

__all__ = ["CompiledNetworks", "Wanted"]

KEPT = 8
"""Compiled networks and shapes that are kept, unless a step needs more; those of the longest unused go first."""
KEPT_BYTES = 8 << 30
"""The same for the bytes of their weights."""


@dataclass(frozen=True)
class Wanted:
    """A network for a shape.

    Attributes:
        name: for messages.
        parts: its modules.
        shape: of everything that goes in.
        dtype: to compute in.
        graph: makes it.
        error: how far a compiled one is from its modules on the numbers of this step, relative.
    """

    name: str
    parts: Sequence[nn.Module]
    shape: Shape
    dtype: torch.dtype
    graph: Callable[[], NetworkGraph]
    error: Callable[[CompiledNetwork], float]


@dataclass
class Entry:
    """A compiled network; None where its modules have to run themselves.

    Attributes:
        compiled: the network.
        made_from: its weights.
        size: bytes of them.
        step: the last one that used it.
    """

    compiled: CompiledNetwork | None
    made_from: Weights
    size: int
    step: int = 0


class CompiledNetworks:
    """Networks by their modules and shape.

    Args:
        store: those of earlier processes.
    """

    def __init__(self, store: CompiledStore) -> None:
        self.store, self.step = store, 0
        self.entries: OrderedDict[tuple[object, ...], Entry] = OrderedDict()
        self.refused: dict[str, str] = {}

    def find(self, wanted: Wanted) -> CompiledNetwork | None:
        """A network that computes what its modules do now; None where they have to run themselves, which is told once.

        Args:
            wanted: which.
        """
        key = (*map(id, wanted.parts), wanted.shape, wanted.dtype, torch.get_num_threads())
        found = self.entries.pop(key, None)
        if found is None or not found.made_from.are_of(*wanted.parts):
            size = sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(wanted.parts).values())
            self.make_room(size)
            found = Entry(self.make(wanted, size), Weights(wanted.parts), size)
        found.step = self.step
        self.entries[key] = found
        return found.compiled

    def make_room(self, size: int) -> None:
        """Let go of the longest unused, so that one more of a size fits; what this step uses stays."""
        for key, entry in list(self.entries.items()):
            total = size + sum(one.size for one in self.entries.values())
            if len(self.entries) < KEPT and total <= KEPT_BYTES:
                return
            if entry.step < self.step:
                del self.entries[key]

    def make(self, wanted: Wanted, size: int) -> CompiledNetwork | None:
        """Read a network that was compiled and proven before, or compile it and prove it."""
        dtype, key = wanted.dtype, None
        try:
            graph = wanted.graph()
            if size <= SMALL:
                machine: Any = library().get_version(), core().get_property("CPU", "FULL_DEVICE_NAME")
                key = content_key(tensors_of(wanted.parts), (wanted.shape, settings(dtype), *machine))
                stored = self.store.read(key)
                if stored is not None:
                    try:
                        return read_compiled(graph, stored, dtype)
                    except RuntimeError:
                        self.store.forget(key)
            compiled = compile_graph(graph, dtype)
        except UnknownModuleError as found:
            return self.refuse(wanted.name, f"it has parts of another form ({found})")
        except RuntimeError as error:
            return self.refuse(wanted.name, str(error).strip().partition("\n")[0])
        error = wanted.error(compiled)
        if error > ALLOWED[dtype]:
            return self.refuse(wanted.name, f"the result differs by {error:.1e}, more than {ALLOWED[dtype]:.0e}")
        if key is not None:
            self.store.write(key, compiled.content())
        return compiled

    def refuse(self, name: str, reason: str) -> None:
        """Say once that a network runs by plans."""
        if self.refused.get(name) != reason:
            self.refused[name] = reason
            tell(Message(f"{name} is computed by plans, not by OpenVINO: {reason}", "runtime.no-openvino"))
