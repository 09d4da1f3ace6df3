"""Keyed samples: every epoch a permutation, every draw belonging to (seed, sample, epoch) and to nothing else."""

import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.data.sampling_order import SampleRef, StepRandomness, draw_randomness, samples_of_step
from zeroconv.diffusion import NoiseSchedule, TimestepDistribution, logit_normal

SHAPE = (2, 3, 3)
ALL, MIDDLE = TimestepDistribution(range(1000)), logit_normal(range(1000), 0.0, 1.0)


def drawn(
    sample: int, epoch: int, seed: int = 0, dropout: float = 0.5, timesteps: TimestepDistribution = ALL
) -> StepRandomness:
    return draw_randomness(SampleRef(sample, epoch), seed, SHAPE, timesteps, dropout)


def values(found: StepRandomness) -> tuple[Any, ...]:
    return found.t, found.epsilon.flatten().tolist(), found.empty_prompt, found.extraction.random()


@given(samples=st.integers(1, 30), batch=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_each_epoch_is_a_permutation(samples: int, batch: int, seed: int) -> None:
    visits = [v for step in range(-(-3 * samples // batch)) for v in samples_of_step(step, batch, samples, seed)]
    for epoch in range(3):
        part = visits[epoch * samples : (epoch + 1) * samples]
        assert {v.epoch for v in part} == {epoch}
        assert sorted(v.index for v in part) == list(range(samples))


@given(a=st.integers(1, 12), b=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_order_does_not_depend_on_the_batch_size(a: int, b: int, seed: int) -> None:
    one = [v for step in range(b) for v in samples_of_step(step, a, 7, seed)]
    other = [v for step in range(a) for v in samples_of_step(step, b, 7, seed)]
    assert one == other


@pytest.mark.parametrize("samples", [2, 3, 7, 16, 30])
def test_every_sample_stands_at_every_place_equally_often(samples: int) -> None:
    """Chi-square of places and samples over many epochs, within five standard deviations of its mean."""
    epochs = 200 * samples
    counts = np.zeros((samples, samples))
    for epoch in range(epochs):
        counts[range(samples), [ref.index for ref in samples_of_step(epoch, samples, samples, 5)]] += 1
    freedom = (samples - 1) ** 2
    chi_square = ((counts - epochs / samples) ** 2 / (epochs / samples)).sum()
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5 + 5


def test_neighbours_in_an_epoch_are_not_neighbours_in_the_data() -> None:
    order = np.array([ref.index for ref in samples_of_step(0, 4000, 4000, 0)])
    steps = np.diff(order)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.06  # 4000 pairs: four standard deviations
    assert (np.abs(steps) == 1).mean() < 0.003  # by chance 0.0005


def test_a_sample_is_found_at_once_among_billions() -> None:
    begun = time.perf_counter()
    found = [ref.index for step in range(100) for ref in samples_of_step(step, 8, 2**33, 0)]
    assert time.perf_counter() - begun < 0.5  # 8 µs each where nothing else runs
    assert len(set(found)) == 800 and max(found) > 2**32 and min(found) < 2**30


def test_time_steps_can_be_kept_to_a_part_of_the_schedule() -> None:
    high = [drawn(sample, 0, timesteps=TimestepDistribution(range(400, 1000))) for sample in range(500)]
    assert min(one.t for one in high) < 410 and max(one.t for one in high) > 990 and all(400 <= one.t < 1000 for one in high)
    plain, middle = ([drawn(sample, 0, timesteps=some) for sample in range(500)] for some in (ALL, MIDDLE))
    others = [[values(one)[1:] for one in some] for some in (plain, high, middle)]
    assert others[0] == others[1] == others[2]


@given(step=st.integers(0, 9), share=st.integers(1, 4), world_size=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_processes_share_a_step(step: int, share: int, world_size: int, seed: int) -> None:
    batch = share * world_size
    parts = [samples_of_step(step, batch, 11, seed, rank, world_size) for rank in range(world_size)]
    assert sum(parts, start=list[SampleRef]()) == samples_of_step(step, batch, 11, seed)


@pytest.mark.parametrize(("batch", "rank", "world_size"), [(8, 0, 3), (8, 2, 2), (8, -1, 2)])
def test_a_batch_that_cannot_be_shared_is_refused(batch: int, rank: int, world_size: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} of {world_size} processes cannot take its part of a batch of {batch}"):
        samples_of_step(0, batch, 100, 0, rank, world_size)


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = {tuple(v.index for v in samples_of_step(epoch, 20, 20, seed)) for epoch in range(3) for seed in range(3)}
    assert len(orders) == 9


def test_a_step_can_be_asked_for_alone_and_in_any_order() -> None:
    forward = [samples_of_step(step, 4, 10, 1) for step in range(20)]
    assert [samples_of_step(step, 4, 10, 1) for step in reversed(range(20))] == forward[::-1]


@given(sample=st.integers(0, 10**6), visit=st.integers(0, 10**4), seed=st.integers(0, 2**31))
def test_draws_belong_to_their_key_alone(sample: int, visit: int, seed: int) -> None:
    first = values(drawn(sample, visit, seed))
    _ = torch.randn(3), drawn(sample + 1, visit, seed)  # neither the global generator nor a neighbour disturbs them
    assert values(drawn(sample, visit, seed)) == first
    for other in (drawn(sample + 1, visit, seed), drawn(sample, visit + 1, seed), drawn(sample, visit, seed + 1)):
        assert values(other)[1] != first[1] and values(other)[3] != first[3]


def test_half_of_the_prompts_are_emptied_anew_at_every_visit() -> None:
    empty = np.array([[drawn(sample, visit).empty_prompt for visit in range(12)] for sample in range(150)])
    assert abs(empty.mean() - 0.5) < 0.04  # 1800 draws: 3.4 standard deviations
    assert (empty.mean(axis=0) > 0.3).all() and (empty.mean(axis=0) < 0.7).all()
    always = Counter(empty.sum(axis=1).tolist())
    assert always[0] + always[12] <= 2  # no sample keeps or loses its prompt for ever


def test_dropout_of_nought_and_one() -> None:
    assert not any(drawn(sample, 0, dropout=0.0).empty_prompt for sample in range(200))
    assert all(drawn(sample, 0, dropout=1.0).empty_prompt for sample in range(200))


def test_dropout_leaves_the_other_draws_as_they_are() -> None:
    some, none = values(drawn(3, 4, dropout=1.0)), values(drawn(3, 4, dropout=0.0))
    assert (some[0], some[1], some[3]) == (none[0], none[1], none[3])


def test_steps_and_noise_have_their_distributions() -> None:
    draws = [drawn(sample, 0) for sample in range(1500)]
    t = np.array([d.t for d in draws])
    assert t.min() >= 0 and t.max() < len(NoiseSchedule.scaled_linear())
    assert abs(t.mean() - 499.5) < 30 and abs(t.std() - 288.7) < 15
    epsilon = torch.stack([d.epsilon for d in draws])
    assert epsilon.shape == (1500, *SHAPE) and epsilon.dtype == torch.float32
    assert abs(epsilon.mean().item()) < 0.02 and abs(epsilon.std().item() - 1) < 0.02
