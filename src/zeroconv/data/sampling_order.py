"""Which sample is seen at which step, and every draw that belongs to that visit (keyed, so a run can resume)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zeroconv.diffusion import generator

__all__ = ["Draw", "Visit", "draw", "visits_of_step"]


@dataclass(frozen=True)
class Visit:
    """One look at one sample.

    Attributes:
        sample: its index in the data set.
        visit: how often it was seen before.
    """

    sample: int
    visit: int


@dataclass(frozen=True)
class Draw:
    """Everything random about a visit.

    Attributes:
        t: the diffusion step, 0 … 999.
        epsilon: the noise, (C, h, w).
        empty_prompt: whether the prompt is replaced by the empty one (section 3.3: half of them).
        extraction: randomness for the condition's extractor, such as Canny thresholds.
    """

    t: int
    epsilon: Tensor
    empty_prompt: bool
    extraction: np.random.Generator


def visits_of_step(step: int, batch_size: int, samples: int, seed: int) -> list[Visit]:
    """The batch of a step: each epoch is a permutation of the samples keyed by (seed, epoch).

    Args:
        step: counted from 0.
        batch_size: samples per step; a batch may reach into the next epoch.
        samples: size of the data set.
        seed: of the run.
    """
    first = step * batch_size
    return [visit for visit in walk(first, batch_size, samples, seed)]


def walk(first: int, count: int, samples: int, seed: int) -> Iterator[Visit]:
    """Visits number `first` to `first + count` of the run."""
    orders: dict[int, list[int]] = {}
    for number in range(first, first + count):
        epoch, place = divmod(number, samples)
        if epoch not in orders:
            orders[epoch] = torch.randperm(samples, generator=generator(seed, "order", epoch)).tolist()
        yield Visit(orders[epoch][place], epoch)


def draw(visit: Visit, seed: int, shape: tuple[int, ...], timesteps: int, prompt_dropout: float) -> Draw:
    """The draws of a visit, keyed by (seed, sample, visit): the same whatever the batch, the worker or the machine.

    Args:
        visit: which look at which sample.
        seed: of the run.
        shape: of the latents, (C, h, w).
        timesteps: length of the noise schedule.
        prompt_dropout: probability of an empty prompt.
    """
    g = generator(seed, "visit", visit.sample, visit.visit)
    t = int(torch.randint(timesteps, (), generator=g))
    epsilon = torch.randn(shape, generator=g)
    empty = bool(torch.rand((), generator=g) < prompt_dropout)
    return Draw(t, epsilon, empty, np.random.default_rng(int(torch.randint(2**62, (), generator=g))))
