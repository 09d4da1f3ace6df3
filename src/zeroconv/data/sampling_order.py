"""Which samples a step sees, and everything random about them, keyed so that a run can resume."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from zeroconv.diffusion import generator

__all__ = ["SampleRef", "StepRandomness", "draw_caption", "draw_randomness", "samples_of_step"]


@dataclass(frozen=True)
class SampleRef:
    """A sample in an epoch.

    Attributes:
        index: of the sample in the data set.
        epoch: counted from 0: how often the sample was seen before.
    """

    index: int
    epoch: int


@dataclass(frozen=True)
class StepRandomness:
    """Everything random about a sample in an epoch.

    Attributes:
        t: the timestep, 0 … T-1.
        epsilon: the noise, (C, h, w).
        empty_prompt: whether the prompt is replaced by the empty one (section 3.3: half of them).
        extraction: randomness for the condition's extractor, such as Canny thresholds.
    """

    t: int
    epsilon: Tensor
    empty_prompt: bool
    extraction: np.random.Generator


def samples_of_step(step: int, batch_size: int, samples: int, seed: int, rank: int = 0, world_size: int = 1) -> list[SampleRef]:
    """The samples of a step: each epoch is a permutation of the data set keyed by (seed, epoch).

    Args:
        step: counted from 0.
        batch_size: samples per step over all processes; a step may reach into the next epoch.
        samples: size of the data set.
        seed: of the run.
        rank: which process asks, 0 … world_size - 1; the processes' parts, one after the other, are the whole step.
        world_size: how many processes share a step.

    Raises:
        ValueError: when the batch cannot be shared evenly, or there is no such rank.
    """
    if batch_size % world_size or not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of {world_size} processes cannot take its part of a batch of {batch_size}")
    share = batch_size // world_size
    return list(iterate_samples(step * batch_size + rank * share, share, samples, seed))


def iterate_samples(first: int, count: int, samples: int, seed: int) -> Iterator[SampleRef]:
    """Samples number `first` to `first + count` of the run, counted over all its epochs."""
    for number in range(first, first + count):
        epoch, place = divmod(number, samples)
        yield SampleRef(int(permute_epoch(samples, seed, epoch)[place]), epoch)


@lru_cache(maxsize=2)
def permute_epoch(samples: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch, (samples,) int32; kept, because a step needs only a few numbers of it.

    Two epochs are kept: the one a run is in and the one its batch may reach into, 4 bytes per sample each.
    """
    return torch.randperm(samples, generator=generator(seed, "order", epoch)).numpy().astype(np.int32)


def draw_randomness(ref: SampleRef, seed: int, shape: tuple[int, ...], timesteps: int, prompt_dropout: float) -> StepRandomness:
    """The draws of a sample in an epoch: the same whatever the batch, the process or the machine.

    Args:
        ref: the sample.
        seed: of the run.
        shape: of the latents, (C, h, w).
        timesteps: length T of the noise schedule.
        prompt_dropout: probability of an empty prompt.
    """
    g = generator(seed, "visit", ref.index, ref.epoch)
    t = int(torch.randint(timesteps, (), generator=g))
    epsilon = torch.randn(shape, generator=g)
    empty = bool(torch.rand((), generator=g) < prompt_dropout)
    return StepRandomness(t, epsilon, empty, np.random.default_rng(int(torch.randint(2**62, (), generator=g))))


def draw_caption(ref: SampleRef, seed: int) -> Callable[[int], int]:
    """Which of so many captions a visit sees, keyed as `draw_randomness`, without a draw of its own where there is one."""
    return lambda count: int(torch.randint(count, (), generator=generator(seed, "caption", ref.index, ref.epoch)))
