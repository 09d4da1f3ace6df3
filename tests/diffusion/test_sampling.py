"""From noise to latents with every sampler (section 3.3), for any callable denoiser."""

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from tests.tiny import NOISE, numbers
from zeroconv.diffusion import SAMPLERS, Denoiser, NoiseSchedule, build_scheduler, initial_noise, sample_latents

SHAPE, ANCESTRAL = (4, 3, 3), ("euler-a", "lcm", "dpm++2m-sde", "dpm++sde")
CLEAN = numbers(*SHAPE, seed=42)


def knows_the_answer(kind: str) -> Denoiser:
    """The denoiser of a data set with one member: it always points at `CLEAN`."""
    schedule = NoiseSchedule.scaled_linear()

    def denoiser(z: Tensor, t: Tensor, step: int) -> Tensor:
        signal, noise = schedule.signal_and_noise(t.long().clamp(max=999).expand(len(z)), z)
        epsilon = (z - signal * CLEAN) / noise
        return epsilon if kind == "epsilon" else signal * epsilon - noise * CLEAN

    return denoiser


def some(z: Tensor, t: Tensor, step: int) -> Tensor:
    """Any denoiser: it depends on the latents and the step."""
    return torch.tanh(z.roll(1, dims=-1) + t / 1000) + 0.1 * z


def run(sampler: str, seeds: list[int], steps: int = 5) -> Tensor:
    return sample_latents(some, initial_noise(SHAPE, seeds), build_scheduler(sampler, NOISE), steps, seeds)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_denoiser_that_knows_the_answer_gets_it(sampler: str, kind: str) -> None:
    scheduler = build_scheduler(sampler, {**NOISE, "prediction_type": kind})
    z = sample_latents(knows_the_answer(kind), initial_noise(SHAPE, [1, 2]), scheduler, 20, [1, 2])
    # Stable Diffusion's DDIM stops at ᾱ_0, a little noise before the end.
    left = 3 * 0.00085**0.5 if sampler == "ddim" else 1e-5
    torch.testing.assert_close(z, CLEAN.expand(2, *SHAPE), atol=left, rtol=0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_runs_from_one_step_on(sampler: str) -> None:
    for steps in (1, 2, 3, 20, 50):
        seen: list[tuple[int, int]] = []
        scheduler = build_scheduler(sampler, NOISE)
        z = sample_latents(some, initial_noise(SHAPE, [1]), scheduler, steps, [1], lambda i, n, seen=seen: seen.append((i, n)))
        assert z.shape == (1, *SHAPE) and z.isfinite().all()
        assert seen == [(i + 1, steps) for i in range(steps)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_runs_with_the_most_steps_it_allows(sampler: str) -> None:
    with pytest.raises(ValueError, match=r"^got 5000 steps; expected 1 to \d+ for this sampler$") as caught:
        run(sampler, [1], 5000)
    most = int(str(caught.value).split(" to ")[1].split()[0])
    assert most == (50 if sampler == "lcm" else 999)
    assert run(sampler, [1], most).isfinite().all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_is_the_same_alone_and_among_others(sampler: str) -> None:
    together = run(sampler, [5, 6, 7])
    for i, seed in enumerate((5, 6, 7)):
        torch.testing.assert_close(run(sampler, [seed])[0], together[i], atol=1e-5, rtol=1e-5)
    assert torch.equal(run(sampler, [5, 6, 7]), together)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("sampler", ANCESTRAL)
def test_ancestral_noise_belongs_to_the_seed_and_the_step_not_to_the_global_generator(sampler: str) -> None:
    torch.manual_seed(1)
    first = run(sampler, [5])
    torch.manual_seed(2)
    assert torch.equal(run(sampler, [5]), first)
    start = initial_noise(SHAPE, [5])
    other = sample_latents(some, start, build_scheduler(sampler, NOISE), 5, [6])
    assert not torch.allclose(other, first)  # same start, other noise on the way


def test_noise_is_that_of_diffusers_panels() -> None:
    wanted = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(12))[0]
    assert torch.equal(initial_noise(SHAPE, [11, 12])[1], wanted)


def test_ddim_is_the_formula() -> None:
    """Song, Meng, Ermon, 2021, arXiv 2010.02502, equation 12 with σ = 0; the last step goes to ᾱ_0."""
    z, alphas = initial_noise(SHAPE, [3]), NoiseSchedule.scaled_linear().alphas_cumprod
    times = [801, 601, 401, 201, 1]
    for i, t in enumerate(times):
        a, before = alphas[t], alphas[times[i + 1]] if i + 1 < len(times) else alphas[0]
        epsilon = some(z, torch.tensor(t), i)
        z = before.sqrt() * (z - (1 - a).sqrt() * epsilon) / a.sqrt() + (1 - before).sqrt() * epsilon
    torch.testing.assert_close(run("ddim", [3]), z, atol=1e-5, rtol=1e-5)


def test_schedulers_take_the_noise_of_the_base() -> None:
    scheduler = build_scheduler("ddim", {**NOISE, "beta_end": 0.02, "prediction_type": "v_prediction", "clip_sample": True})
    assert isinstance(scheduler, DDIMScheduler)
    assert scheduler.config["beta_end"] == 0.02 and scheduler.config["prediction_type"] == "v_prediction"
    assert scheduler.config["clip_sample"] is False


@pytest.mark.parametrize("steps", [0, -1, 1000])
def test_steps_out_of_range_are_one_line(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"^got {steps} steps; expected 1 to \d+ for this sampler$"):
        run("ddim", [1], steps)


def test_unknown_sampler_is_one_line_with_the_known_ones() -> None:
    with pytest.raises(
        ValueError,
        match=r"^sampler is 'plms'; expected one of ddim, .*, lcm, most of them with -karras",
    ):
        build_scheduler("plms", NOISE)


def test_heun_looks_twice_in_every_step_but_the_last_and_counts_steps() -> None:
    """Karras et al., 2022, arXiv 2206.00364, algorithm 1 without noise; the last step, to zero, is Euler's."""
    seen, told = list[int](), list[tuple[int, int]]()

    def denoiser(z: Tensor, t: Tensor, step: int) -> Tensor:
        seen.append(step)
        return some(z, t, step)

    scheduler = build_scheduler("heun", NOISE)
    sample_latents(denoiser, initial_noise(SHAPE, [1]), scheduler, 4, [1], lambda i, n: told.append((i, n)))
    assert seen == [0, 0, 1, 1, 2, 2, 3]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_latents_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(FloatingPointError, match=r"^the latents are not finite any more: lower the guidance"):
        sample_latents(lambda z, t, i: z * torch.nan, initial_noise(SHAPE, [1]), build_scheduler("ddim", NOISE), 2, [1])
