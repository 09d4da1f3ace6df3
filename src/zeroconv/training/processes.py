"""The processes that share a run, started by `torchrun`: who this one is, and what they tell each other."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from zeroconv.errors import InputError

__all__ = ["PeerFailedError", "Processes", "join_processes"]

Value = TypeVar("Value")
WAIT_FOR = 30  # minutes that one process waits for another: a probe of the first one takes long


class PeerFailedError(Exception):
    """Another process of the run failed, and has said why."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run. One alone is the rule.

    Attributes:
        rank: of this one, 0 … size - 1; the first one probes, logs and saves.
        size: how many there are.
        local_rank: its place on its machine, which is the GPU it takes.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def device(self, asked: str) -> str:
        """The device of this process: "cuda" becomes its own GPU."""
        return f"cuda:{self.local_rank}" if asked == "cuda" and self.size > 1 else asked

    def check_batch(self, batch_size: int, accumulation: int) -> None:
        """Refuse a batch that the processes cannot divide evenly.

        Raises:
            InputError: saying what would fit.
        """
        if batch_size % (parts := self.size * accumulation):
            message = f"batch_size {batch_size} cannot be divided over {self.size} processes of {accumulation} equal parts each"
            raise InputError(message, field="optimization.batch_size", hint=f"give a multiple of {parts}")

    def share_gradients(self, module: nn.Module) -> nn.Module:
        """The module whose backward pass leaves the mean gradient of all processes; `module` itself if there is one."""
        return DistributedDataParallel(module, broadcast_buffers=False) if self.size > 1 else module

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.size > 1:
            tensor = tensor / self.size
            distributed.all_reduce(tensor)
        return tensor

    def first_of(self, words: str | None) -> str | None:
        """What the first process that has something to say says; None when nobody has."""
        return next((one for one in self.of_all(words) if one is not None), None)

    def of_first(self, value: Value) -> Value:
        """What the first process has, in all of them; plain values alone."""
        told = [value]
        if self.size > 1:
            distributed.broadcast_object_list(told)
        return told[0]

    def of_all(self, value: Value) -> list[Value]:
        """What each process has, in all of them; plain values alone."""
        told = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(told, value)
        return told

    @contextmanager
    def together(self) -> Generator[None]:
        """No process goes on after the block before all have come through it.

        Raises:
            PeerFailedError: when it went well here, and not in another process.
        """
        if self.size == 1:
            yield
            return
        try:
            yield
        except Exception as error:
            self.first_of(f"{type(error).__name__}: {error}")
            raise
        if said := self.first_of(None):
            raise PeerFailedError(said)

    def spread(self, state: tuple[int, Mapping[str, Tensor]] | None, device: str) -> tuple[int, Mapping[str, Tensor] | None]:
        """The state that the first process has read, in every process.

        Args:
            state: step and tensors, in the first process; None without one.
            device: where the processes talk to each other.
        """
        if self.size == 1:
            return state or (0, None)
        found: list[tuple[int, dict[str, tuple[torch.Size, torch.dtype]]] | None] = [None]
        if state is not None:
            found = [(state[0], {name: (tensor.shape, tensor.dtype) for name, tensor in state[1].items()})]
        distributed.broadcast_object_list(found)
        if found[0] is None:
            return 0, None
        step, shapes = found[0]
        tensors: dict[str, Tensor] = {}
        for name, (shape, dtype) in shapes.items():
            tensor = torch.empty(shape, dtype=dtype) if state is None else state[1][name]
            tensor = tensor.to(device)
            distributed.broadcast(tensor, 0)
            tensors[name] = tensor.cpu()
        return step, tensors

    def leave(self) -> None:
        """End the connection to the others."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def join_processes(device: str) -> Processes:
    """This process among those that `torchrun` started; alone without it.

    Args:
        device: where is trained; GPUs talk by NCCL, CPUs by Gloo.

    Raises:
        InputError: when there are more processes on this machine than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Processes()
    found = Processes(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu and found.local_rank >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(
            f"process {found.rank} would train on GPU {found.local_rank}; this machine has {count}", field="device"
        )
    if on_gpu:
        torch.cuda.set_device(found.local_rank)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(minutes=WAIT_FOR))
    return found
