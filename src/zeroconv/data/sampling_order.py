"""Which samples a step sees, and everything random about them, keyed so that a run can resume."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from zeroconv.diffusion import TimestepDistribution, generator

__all__ = [
    "SampleRef",
    "StepRandomness",
    "draw_caption",
    "draw_left_out",
    "draw_randomness",
    "permute",
    "samples_of_step",
]

ROUNDS = 8  # of the network that permutes an epoch: few samples need more of them than many
WORD = 2**64 - 1


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
        yield SampleRef(permute(place, samples, epoch_keys(seed, epoch)), epoch)


@lru_cache(maxsize=2)
def epoch_keys(seed: int, epoch: int) -> tuple[int, ...]:
    """The keys of an epoch's order; two epochs are kept, the one a run is in and the one its batch may reach into."""
    return tuple(torch.randint(2**63 - 1, (ROUNDS,), generator=generator(seed, "order", epoch)).tolist())


def permute(place: int, samples: int, keys: Sequence[int]) -> int:
    """Which sample stands at a place of a permutation, in a time that does not depend on how many samples there are.

    A Feistel network over the next even power of two, walked until it lands among the samples (Black and Rogaway, 2002,
    "Ciphers with arbitrary finite domains").

    Args:
        place: 0 … samples - 1.
        samples: how many there are.
        keys: of the rounds, below 2**63; they choose the permutation.
    """
    half = max(1, ((samples - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for key in keys:
            left, right = right, left ^ (mix(right + key) & mask)
        place = (left << half) | right
        if place < samples:
            return place


def mix(number: int) -> int:
    """Scatter the bits of a number over 64 (the finalizer of SplitMix64: Steele, Lea and Flood, 2014)."""
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & WORD
    return number ^ (number >> 31)


def draw_randomness(
    ref: SampleRef, seed: int, shape: tuple[int, ...], timesteps: TimestepDistribution, prompt_dropout: float
) -> StepRandomness:
    """The draws of a sample in an epoch: the same whatever the batch, the process or the machine.

    Args:
        ref: the sample.
        seed: of the run.
        shape: of the latents, (C, h, w).
        timesteps: how often each is drawn; the other draws do not depend on it.
        prompt_dropout: probability of an empty prompt.
    """
    g = generator(seed, "visit", ref.index, ref.epoch)
    t = timesteps.draw(g)
    epsilon = torch.randn(shape, generator=g)
    empty = bool(torch.rand((), generator=g) < prompt_dropout)
    return StepRandomness(t, epsilon, empty, np.random.default_rng(int(torch.randint(2**62, (), generator=g))))


def draw_caption(ref: SampleRef, seed: int) -> Callable[[int], int]:
    """Which of so many captions a visit sees, keyed as `draw_randomness`, without a draw of its own where there is one."""
    return lambda count: int(torch.randint(count, (), generator=generator(seed, "caption", ref.index, ref.epoch)))


def draw_left_out(ref: SampleRef, seed: int) -> Iterator[float]:
    """A number in [0, 1) for each condition of a visit, keyed as `draw_randomness`: below the dropout its map is left out."""
    g = generator(seed, "condition", ref.index, ref.epoch)
    while True:
        yield float(torch.rand((), generator=g))
