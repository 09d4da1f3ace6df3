"""Who makes the shards: this process, several of this machine, or the workers of a Ray cluster.

Every engine hands out whole shards, in any order and as often as it takes, for `ShardMaker.make` gives the same bytes each
time and a shard counts once its last file is renamed. So nothing is lost or twice when a worker dies, and the folder does
not depend on the engine.
"""

import os
import signal
import sys
from collections.abc import Generator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import Any, Literal, get_args

import torch

from zeroconv.data.prepared.job import Job
from zeroconv.data.prepared.maker import Done, ShardMaker
from zeroconv.data.prepared.ray_engine import run_ray

__all__ = ["ENGINES", "Engine", "default_workers", "run_engine"]

Engine = Literal["local", "ray"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def default_workers(device: str) -> int:
    """One for each core that this process may use, or for each GPU."""
    if device.startswith("cuda"):
        return max(1, torch.cuda.device_count()) if device == "cuda" else 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_engine(job: Job, engine: Engine, workers: int, maker: ShardMaker | None = None) -> Generator[int | Done]:
    """Make all shards.

    Args:
        job: what is made.
        engine: who makes it.
        workers: how many work at a time.
        maker: this process's own, whose data set and encoders may be open already.

    Yields:
        1 for each row that was made, where the engine tells; each shard when it is done.

    Raises:
        InputError: when the engine is not installed, or the data cannot be used.
        OSError: when a shard cannot be written, or a worker died.
    """
    numbers, maker = range(job.settings.shards), maker or job.maker()
    if engine == "ray":
        yield from run_ray(job, numbers, workers)
    elif min(workers, len(numbers)) > 1:
        yield from run_processes(job, numbers, min(workers, len(numbers)), maker)
    else:
        yield from run_here(maker, numbers)


def run_here(maker: ShardMaker, numbers: Sequence[int]) -> Generator[int | Done]:
    """Make shards in this process, on one thread as every worker does: sums of several threads may round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for number in numbers:
            yield from maker.make(number)
    finally:
        torch.set_num_threads(before)


def run_processes(job: Job, numbers: Sequence[int], workers: int, maker: ShardMaker) -> Generator[int | Done]:
    """Make shards in processes of this machine, each of which is given one shard at a time.

    Where the system can fork they share the memory of encoders that are open already; with a GPU they cannot.
    """
    forks = job.device == "cpu" and sys.platform == "linux"
    context: Any = get_context("fork" if forks else "spawn")
    left, processes = iter(numbers), dict[Any, Any]()
    try:
        for worker in range(workers):
            ours, theirs = context.Pipe()
            given = (maker, worker, theirs, [*processes, ours]) if forks else (job, worker, theirs, [])
            processes[ours] = context.Process(target=serve, args=given, daemon=True)
            processes[ours].start()
            theirs.close()
            ours.send(next(left))
        idle = 0
        while idle < workers:
            ready: list[Any] = wait(list(processes))
            for pipe in ready:
                said = receive(pipe, processes[pipe])
                yield said
                if isinstance(said, Done):
                    following = next(left, None)
                    pipe.send(following)
                    idle += following is None
    finally:
        for pipe, process in processes.items():
            pipe.close()
            process.terminate()
            process.join()


def receive(pipe: Any, process: Any) -> int | Done:
    """What a worker says.

    Raises:
        OSError: when it died.
        Exception: which it met.
    """
    try:
        said = pipe.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        raise OSError(
            f"a worker process died (exit code {process.exitcode}): the same command goes on where it stopped, "
            "with fewer --workers if the memory was not enough"
        ) from None
    if isinstance(said, Exception):
        raise said
    return said


def serve(work: Job | ShardMaker, worker: int, pipe: Any, inherited: Sequence[Any]) -> None:
    """Make the shards whose numbers come through a pipe, until its other end is closed.

    Args:
        work: what is made; the parent's own maker in a forked process.
        worker: which of the workers this is.
        pipe: to the parent.
        inherited: the parent's ends of pipes, of which a forked process has copies: held, they would hide the parent's death.
    """
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the process that was started ends the others
    torch.set_num_threads(1)
    maker = work if isinstance(work, ShardMaker) else work.maker(worker)
    try:
        while True:
            number = pipe.recv()
            if number is not None:
                for said in maker.make(number):
                    pipe.send(said)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # nobody listens any more
    except (ValueError, OSError) as error:
        pipe.send(error)
