"""From noise to latents, over the schedulers of diffusers, for any callable denoiser."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import diffusers
import torch
from torch import Tensor

from zeroconv.diffusion.denoiser import Denoiser
from zeroconv.diffusion.randomness import generator
from zeroconv.errors import InputError

__all__ = ["SAMPLERS", "Sampler", "build_scheduler", "initial_noise", "sample_latents"]

Sampler = Literal["ddim", "dpm++2m", "euler", "euler-a", "unipc", "lcm"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "steps_offset": 1}),
    "euler": ("EulerDiscreteScheduler", {"steps_offset": 1}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {"steps_offset": 1}),
    "unipc": ("UniPCMultistepScheduler", {"steps_offset": 1}),
    "lcm": ("LCMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
}
"""The class in diffusers, and the settings that Stable Diffusion uses with it."""

NOISE_SETTINGS = (
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type", "rescale_betas_zero_snr",
)  # fmt: skip


def build_scheduler(sampler: str, scheduler_config: Mapping[str, Any]) -> Any:
    """A scheduler of diffusers by the sampler's name, for a base's noise schedule.

    Args:
        sampler: one of `SAMPLERS`.
        scheduler_config: of the base; its betas, prediction type and zero terminal SNR are used.

    Raises:
        InputError: for an unknown name, listing the known ones.
    """
    if sampler not in SCHEDULERS:
        raise InputError(f"unknown sampler {sampler!r}; expected one of {', '.join(SAMPLERS)}", field="sampler")
    name, settings = SCHEDULERS[sampler]
    if scheduler_config.get("rescale_betas_zero_snr"):  # the last step is pure noise, and sampling must begin on it
        settings = {**settings, "timestep_spacing": "trailing"}
    schedule = {key: scheduler_config[key] for key in NOISE_SETTINGS if key in scheduler_config}
    return getattr(diffusers, name)(**schedule, **settings)


def initial_noise(shape: Sequence[int], seeds: Sequence[int]) -> Tensor:
    """Standard normal noise, (len(seeds), *shape), float32 on the CPU.

    Picture i is drawn with `torch.Generator().manual_seed(seeds[i])`, as diffusers and most panels do, so each is
    the same alone or in a batch.
    """
    return torch.stack([torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def sample_latents(
    denoiser: Denoiser,
    z: Tensor,
    scheduler: Any,
    steps: int,
    seeds: Sequence[int],
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Latents, (B, C, h, w).

    Args:
        denoiser: gives the prediction for each step.
        z: standard normal noise, (B, C, h, w).
        scheduler: from `build_scheduler`.
        steps: number of denoising steps, 1 … 999 (1 … 50 for lcm).
        seeds: one per picture; ancestral samplers draw their noise by (seed, step).
        on_step: called with (step, steps) after each step.

    Raises:
        InputError: when `steps` is out of range.
        FloatingPointError: when the latents are no longer finite.
    """
    # One less than the base was trained with: with all of them several schedulers step past the end of their tables.
    most = getattr(scheduler.config, "original_inference_steps", scheduler.config.num_train_timesteps - 1)
    if not 1 <= steps <= most:
        raise InputError(f"got {steps} steps; expected 1 to {most} for this sampler", field="num_inference_steps")
    scheduler.set_timesteps(steps, device=z.device)
    z = z * scheduler.init_noise_sigma
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    for i, t in enumerate(scheduler.timesteps):
        prediction = denoiser(scheduler.scale_model_input(z, t), t, i)
        drawn = {"generator": [generator(seed, "step", i) for seed in seeds]} if takes_generator else {}
        z = scheduler.step(prediction, t, z, **drawn).prev_sample
        if on_step is not None:
            on_step(i + 1, steps)
    if not torch.isfinite(z).all():
        raise FloatingPointError("the latents are not finite any more: lower the guidance or the control's scale")
    return z
