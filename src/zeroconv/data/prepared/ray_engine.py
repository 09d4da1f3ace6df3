"""Parts of a work, such as shards, made by the workers of a Ray cluster (Moritz et al., 2018, arXiv 1712.05889).

One task makes one part: of a data set a shard, of an evaluation a batch of pictures. Ray Data would cut the rows into blocks
of its own, whose borders depend on the cluster, and a block that is computed a second time would have to be told from the
first; parts cut by row numbers need none of that, since a task that Ray starts again on another worker writes the same bytes
under the same name.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import torch

from zeroconv.errors import InputError, shorten

__all__ = ["Job", "Maker", "run_ray"]

Result = TypeVar("Result", covariant=True)


class Maker(Protocol[Result]):
    """What makes the parts of a work in one process."""

    def make(self, number: int) -> "Iterator[int | Result]":
        """Make a part, unless it is there: 1 for each row that was made, and at last the part."""
        ...


class Job(Protocol[Result]):
    """What workers are told once; it is sent to them, and equal to itself there."""

    @property
    def device(self) -> str:
        """Where the work is done, such as "cuda"."""
        ...

    def maker(self) -> Maker[Result]:
        """A maker for one worker."""
        ...


RETRIES = 3  # of a task whose worker dies
MAKERS: list[tuple[Job[Any], Maker[Any]]] = []
"""The maker of a worker's process, which is given one task after the other."""


def import_ray() -> Any:
    """The package ray, which is an extra; it sends nothing about its use.

    Raises:
        InputError: when it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError("ray is not installed", field="engine", hint="pip install 'zeroconv[ray]'") from error
    return ray


def run_ray(job: Job[Result], numbers: Sequence[int], workers: int) -> Generator[Result]:
    """Make parts as tasks of Ray: on the cluster that `RAY_ADDRESS` names, else on one of this machine that ends with them.

    Args:
        job: what is made.
        numbers: of the parts.
        workers: how many work at a time on this machine; a cluster has its own number.

    Yields:
        Each part when it is done.

    Raises:
        InputError: when ray is not installed, or the data cannot be used.
        OSError: when a part cannot be written, or its worker died again and again.
    """
    ray = import_ray()
    here: dict[str, Any] = {"address": "local", "num_cpus": workers, "include_dashboard": False}
    ours = not ray.is_initialized()
    try:
        if ours:
            ray.init(log_to_driver=False, logging_level="error", **({} if "RAY_ADDRESS" in os.environ else here))
        on_gpu = job.device.startswith("cuda")
        task = ray.remote(make_part).options(num_cpus=1, num_gpus=int(on_gpu), max_retries=RETRIES)
        told = ray.put(job)
        waiting = [task.remote(told, number) for number in numbers]
        while waiting:
            ready, waiting = ray.wait(waiting, num_returns=1)
            for said in ray.get(ready):
                if isinstance(said, Exception):
                    raise said
                yield said
    except (ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
        reason = shorten(" ".join(str(error).split()), 200)
        raise OSError(f"ray could not go on ({reason}): the same command goes on where it stopped") from error
    finally:
        if ours:
            ray.shutdown()


def make_part(job: Job[Any], number: int) -> Any:
    """Make a part in a worker; an error that a user can mend is given back, as Ray would raise it with its whole history."""
    torch.set_num_threads(1)
    if not MAKERS or MAKERS[0][0] != job:
        MAKERS[:] = [(job, job.maker())]
    try:
        *_, done = MAKERS[0][1].make(number)
    except (ValueError, OSError) as error:
        return error
    return done
