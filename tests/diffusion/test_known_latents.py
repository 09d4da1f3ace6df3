"""Sampling that starts from a picture: which steps are run, where it ends, and what it leaves alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.diffusion.test_sampling import CLEAN, SHAPE, knows_the_answer, some
from tests.tiny import NOISE, numbers
from zeroconv.diffusion import SAMPLERS, KnownLatents, build_scheduler, count_run_steps, initial_noise, sample_latents

PICTURE = numbers(1, *SHAPE, seed=3).expand(2, -1, -1, -1)
HOLE = torch.tensor([[True, False, False], [True, True, False], [False, False, False]])[None, None]


def run(sampler: str, known: KnownLatents | None, denoiser: object = some, steps: int = 8) -> tuple[torch.Tensor, list[object]]:
    """Latents, and what was said of the steps."""
    seen: list[object] = []
    scheduler, noise = build_scheduler(sampler, NOISE), initial_noise(SHAPE, [1, 2])
    z = sample_latents(denoiser, noise, scheduler, steps, [1, 2], lambda *done: seen.append(done), known)  # pyright: ignore[reportArgumentType]
    return z, seen


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_gets_from_the_middle_of_the_way_to_the_answer(sampler: str) -> None:
    z, seen = run(sampler, KnownLatents(PICTURE, 0.5), knows_the_answer("epsilon"))
    torch.testing.assert_close(z, CLEAN.expand(2, *SHAPE), atol=5 * 0.00085**0.5 if sampler == "ddim" else 1e-5, rtol=0)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_lies_outside_the_hole_stays_to_the_bit(sampler: str) -> None:
    for strength in (0.3, 1.0):
        z, _ = run(sampler, KnownLatents(PICTURE, strength, HOLE))
        outside = ~HOLE.expand_as(z)
        assert torch.equal(z[outside], PICTURE[outside]) and not torch.isclose(z[~outside], PICTURE[~outside]).any()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_hole_that_is_everything_at_full_strength_is_plain_sampling(sampler: str) -> None:
    everything = torch.ones_like(HOLE)
    assert torch.equal(run(sampler, KnownLatents(PICTURE, 1.0, everything))[0], run(sampler, None)[0])


def test_no_step_leaves_the_picture_and_full_strength_a_trace_of_it() -> None:
    z, seen = run("ddim", KnownLatents(PICTURE, 0.1))
    assert torch.equal(z, PICTURE) and seen == []
    near, plain = run("ddim", KnownLatents(PICTURE, 1.0))[0], run("ddim", None)[0]
    assert not torch.equal(near, plain) and (near - plain).abs().mean() < 0.2 * (PICTURE - plain).abs().mean()


@given(st.integers(1, 999), st.floats(0, 1))
def test_the_steps_that_are_run_are_the_share_rounded_down(steps: int, strength: float) -> None:
    run = count_run_steps(steps, strength)
    assert 0 <= run <= steps and run <= steps * strength < run + 1
    assert count_run_steps(steps, 1.0) == steps
