"""The noise schedule and the objective (section 3.3)."""

from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from tests.tiny import NOISE, numbers
from zeroconv.diffusion import NoiseSchedule, denoising_loss, training_target

steps = st.lists(st.integers(0, 999), min_size=2, max_size=2)


@pytest.fixture(scope="module")
def oracle() -> DDPMScheduler:
    return DDPMScheduler(**{key: value for key, value in NOISE.items() if not key.startswith("_")})


@pytest.fixture(scope="module")
def schedule() -> NoiseSchedule:
    return NoiseSchedule.scaled_linear()


def test_signal_falls_from_one_to_nearly_nothing(schedule: NoiseSchedule, oracle: DDPMScheduler) -> None:
    alphas = schedule.alphas_cumprod
    assert len(schedule) == 1000 and bool((alphas[1:] < alphas[:-1]).all())
    assert alphas[0].item() == pytest.approx(1 - 0.00085, abs=1e-6) and 0 < alphas[-1] < 0.005
    torch.testing.assert_close(alphas, oracle.alphas_cumprod)


@given(steps)
def test_signal_and_noise_are_a_unit_vector(t: list[int]) -> None:
    signal, noise = NoiseSchedule.scaled_linear().signal_and_noise(torch.tensor(t), torch.zeros(2, 3, 4, 4))
    assert signal.shape == noise.shape == (2, 1, 1, 1)
    torch.testing.assert_close(signal**2 + noise**2, torch.ones(2, 1, 1, 1))


@given(t=steps, seed=st.integers(0, 1000))
def test_noisy_latents_and_targets_are_those_of_diffusers(
    schedule: NoiseSchedule, oracle: DDPMScheduler, t: list[int], seed: int
) -> None:
    z_0, epsilon, at = numbers(2, 4, 3, 3, seed=seed), numbers(2, 4, 3, 3, seed=seed + 1), torch.tensor(t)
    torch.testing.assert_close(schedule.add_noise(z_0, epsilon, at), oracle.add_noise(z_0, epsilon, at))  # pyright: ignore[reportArgumentType]
    v = training_target("v_prediction", schedule, z_0, epsilon, at)
    torch.testing.assert_close(v, oracle.get_velocity(z_0, epsilon, at))  # pyright: ignore[reportArgumentType]
    assert training_target("epsilon", schedule, z_0, epsilon, at) is epsilon


@given(t=steps, seed=st.integers(0, 1000))
def test_clean_latents_and_noise_come_back_from_v(schedule: NoiseSchedule, t: list[int], seed: int) -> None:
    z_0, epsilon, at = numbers(2, 4, 3, 3, seed=seed), numbers(2, 4, 3, 3, seed=seed + 1), torch.tensor(t)
    z_t, v = schedule.add_noise(z_0, epsilon, at), training_target("v_prediction", schedule, z_0, epsilon, at)
    signal, noise = schedule.signal_and_noise(at, z_0)
    torch.testing.assert_close(signal * z_t - noise * v, z_0, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(noise * z_t + signal * v, epsilon, atol=1e-5, rtol=1e-5)


class Copies(TorchDispatchMode):
    """Counts the copies from one device or type to another."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._to_copy.default
        return func(*args, **(kwargs or {}))


def test_a_schedule_on_the_device_is_not_copied_for_each_step(schedule: NoiseSchedule) -> None:
    z_0 = torch.zeros(2, 3, 4, 4, device="meta")
    t = torch.zeros(2, dtype=torch.long, device="meta")
    moved = schedule.to("meta")
    for used, wanted in ((schedule, 3), (moved, 0)):
        with Copies() as copies:
            for _ in range(3):
                used.signal_and_noise(t, z_0)
        assert copies.count == wanted
    assert len(moved) == len(schedule) and torch.equal(schedule.to("cpu").alphas_cumprod, schedule.alphas_cumprod)


def test_loss_is_the_mean_square_of_each_sample_in_float32() -> None:
    a, b = numbers(3, 4, 5, 5), numbers(3, 4, 5, 5, seed=1)
    losses = denoising_loss(a, b)
    torch.testing.assert_close(losses, torch.stack([((x - y) ** 2).mean() for x, y in zip(a, b, strict=True)]))
    assert not denoising_loss(a, a).any() and denoising_loss(a.bfloat16(), b.bfloat16()).dtype == torch.float32


def test_unknown_prediction_type_is_one_line(schedule: NoiseSchedule) -> None:
    with pytest.raises(ValueError, match=r"^prediction type is 'sample'; expected 'epsilon' or 'v_prediction'$"):
        training_target("sample", schedule, numbers(1, 1), numbers(1, 1), torch.tensor([0]))
