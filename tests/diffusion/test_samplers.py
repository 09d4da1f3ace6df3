"""Samplers by name: the time steps are those of diffusers' own classes, and every spelling means what its user means."""

from typing import Any

import diffusers
import pytest
import torch

from tests.tiny import NOISE
from zeroconv.diffusion import SAMPLERS, build_scheduler, canonical_sampler
from zeroconv.errors import InputError

CLASSES = {
    "ddim": "DDIMScheduler", "dpm++2m": "DPMSolverMultistepScheduler", "dpm++2m-sde": "DPMSolverMultistepScheduler",
    "dpm++sde": "DPMSolverSinglestepScheduler", "euler": "EulerDiscreteScheduler", "unipc": "UniPCMultistepScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler", "heun": "HeunDiscreteScheduler", "lcm": "LCMScheduler",
}  # fmt: skip
STEPS = (2, 3, 4, 7, 20, 50)


def split(sampler: str) -> tuple[str, dict[str, bool]]:
    """diffusers' class, and the settings that the ending means."""
    for word in ("karras", "exponential"):
        if sampler.endswith(f"-{word}"):
            return CLASSES[sampler.removesuffix(f"-{word}")], {f"use_{word}_sigmas": True}
    return CLASSES[sampler], {}


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_time_steps_are_those_of_diffusers_class_for_the_configuration_of_the_base(
    sampler: str, spacing: str, offset: int
) -> None:
    name, settings = split(sampler)
    config: dict[str, Any] = {**NOISE, "timestep_spacing": spacing, "steps_offset": offset}
    theirs: Any = getattr(diffusers, name).from_config({**config, **settings})
    ours = build_scheduler(sampler, config)
    for steps in STEPS:
        ours.set_timesteps(steps)
        theirs.set_timesteps(steps)
        assert torch.equal(ours.timesteps, theirs.timesteps)
        if hasattr(theirs, "sigmas"):
            assert torch.equal(ours.sigmas, theirs.sigmas)


def test_a_configuration_that_asks_for_karras_is_obeyed_where_the_name_says_nothing() -> None:
    config = {**NOISE, "use_karras_sigmas": True}
    assert build_scheduler("euler", config).config["use_karras_sigmas"] is True
    exponential = build_scheduler("euler-exponential", config).config
    assert (exponential["use_karras_sigmas"], exponential["use_exponential_sigmas"]) == (False, True)


@pytest.mark.parametrize("spacing", [None, "leading", "linspace", "trailing"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_single_step_begins_on_pure_noise(sampler: str, spacing: str | None) -> None:
    scheduler = build_scheduler(sampler, {**NOISE, "timestep_spacing": spacing}, steps=1)
    scheduler.set_timesteps(1)
    (first,) = scheduler.timesteps.tolist()
    assert 998 <= first <= 999


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_zero_terminal_snr_is_the_same_for_every_class(sampler: str) -> None:
    config = {**NOISE, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    found, wanted = build_scheduler(sampler, config), build_scheduler("ddim", config)
    torch.testing.assert_close(found.alphas_cumprod, wanted.alphas_cumprod, rtol=1e-4, atol=1e-6)
    found.set_timesteps(10)
    assert float(found.timesteps[0]) >= 998
    assert torch.isfinite(getattr(found, "sigmas", found.alphas_cumprod)).all()


def test_noise_levels_of_karras_are_the_formula() -> None:
    """Karras et al., 2022, arXiv 2206.00364, equation 5 with ρ = 7, between the base's own extremes."""
    scheduler = build_scheduler("dpm++2m-karras", NOISE)
    scheduler.set_timesteps(10)
    alphas = scheduler.alphas_cumprod
    low, high = (float(((1 - alphas[t]) / alphas[t]).sqrt()) ** (1 / 7) for t in (0, 999))
    wanted = torch.tensor([(high + i / 9 * (low - high)) ** 7 for i in range(10)])
    torch.testing.assert_close(scheduler.sigmas[:10], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DPM++ 2M Karras", "dpm++2m-karras"),
        ("dpmpp_2m", "dpm++2m"),
        ("dpmpp_2m_sde_karras", "dpm++2m-sde-karras"),
        ("DPM++ 2M SDE Exponential", "dpm++2m-sde-exponential"),
        ("DPM++ SDE", "dpm++sde"),
        ("dpm++_2m-karras", "dpm++2m-karras"),
        ("Euler a", "euler-a"),
        ("euler_ancestral", "euler-a"),
        ("k_euler", "euler"),
        ("k_euler_a", "euler-a"),
        (" Heun ", "heun"),
        ("UniPC", "unipc"),
        ("uni_pc_bh2", "unipc"),
        ("DDIM", "ddim"),
        ("LCM", "lcm"),
        ("DPMSolverMultistepScheduler", "dpm++2m"),
        ("EulerDiscreteScheduler", "euler"),
        ("EulerAncestralDiscreteScheduler", "euler-a"),
        ("DDIMScheduler", "ddim"),
        ("DPM++ 2M Normal", "dpm++2m"),
        ("Euler a Automatic", "euler-a"),
        ("DPM++ 2M SDE GPU Karras", "dpm++2m-sde-karras"),
        ("dpmpp_2m_sde_gpu", "dpm++2m-sde"),
        *[(name, name) for name in SAMPLERS],
        *[(name.upper().replace("-", " "), name) for name in SAMPLERS],
    ],
)
def test_every_spelling_is_understood(written: str, meant: str) -> None:
    assert canonical_sampler(written) == meant


@pytest.mark.parametrize(("written", "guess"), [("eulr", "; perhaps euler"), ("dpm++3m", "; perhaps dpm++2m"), ("", "behind")])
def test_a_wrong_name_gets_the_nearest_one(written: str, guess: str) -> None:
    with pytest.raises(InputError, match="expected one of ddim, dpm") as caught:
        canonical_sampler(written)
    assert str(caught.value).endswith(guess) and caught.value.field == "sampler"


@pytest.mark.parametrize("written", ["DPM++ 2M SGM Uniform", "euler simple", "Euler Beta"])
def test_a_spacing_that_there_is_none_of_is_called_one(written: str) -> None:
    with pytest.raises(InputError, match=r"there is no spacing '\w+' here; expected one of karras and exponential, or none"):
        canonical_sampler(written)


def test_names_do_not_collide() -> None:
    assert len({canonical_sampler(name) for name in SAMPLERS}) == len(SAMPLERS)
    assert {split(name)[0] for name in SAMPLERS} == set(CLASSES.values())
