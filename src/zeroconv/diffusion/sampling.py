"""From noise, or a picture under noise, to latents, over the schedulers of diffusers, for any callable denoiser."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from zeroconv.diffusion.denoiser import Denoiser
from zeroconv.diffusion.known_latents import KnownLatents, count_run_steps
from zeroconv.diffusion.randomness import generator
from zeroconv.errors import InputError

__all__ = ["initial_noise", "sample_latents"]


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
    known: KnownLatents | None = None,
) -> Tensor:
    """Latents, (B, C, h, w).

    Args:
        denoiser: gives the prediction for each step.
        z: standard normal noise, (B, C, h, w).
        scheduler: from `build_scheduler`.
        steps: number of denoising steps, 1 … 999 (1 … 50 for lcm).
        seeds: one per picture; ancestral samplers draw their noise by (seed, step).
        on_step: called with (step, steps) after each step that is run.
        known: latents of a picture to start from; steps are then counted from the first one that is run.

    Raises:
        InputError: when `steps` is out of range.
        FloatingPointError: when the latents are no longer finite.
    """
    # One less than the base was trained with: with all of them several schedulers step past the end of their tables.
    most = getattr(scheduler.config, "original_inference_steps", scheduler.config.num_train_timesteps - 1)
    if not 1 <= steps <= most:
        raise InputError(f"got {steps} steps; expected 1 to {most} for this sampler", field="num_inference_steps")
    scheduler.set_timesteps(steps, device=z.device)
    noise, times = z, scheduler.timesteps
    if known is None:
        z = noise * scheduler.init_noise_sigma
    else:
        z, times = known.begin(scheduler, noise, steps)
        steps = count_run_steps(steps, known.strength)
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    calls = 2 if len(times) > steps else 1  # Heun looks twice in a step, but once in the last one
    for i, t in enumerate(times):
        step = i // calls
        prediction = denoiser(scheduler.scale_model_input(z, t), t, step)
        drawn = {"generator": [generator(seed, "step", step) for seed in seeds]} if takes_generator else {}
        z = scheduler.step(prediction, t, z, **drawn).prev_sample
        if known is not None:
            z = known.keep(z, scheduler, noise, times[i + 1] if i + 1 < len(times) else None)
        if on_step is not None and (i + 1 == len(times) or (i + 1) // calls > step):
            on_step(step + 1, steps)
    if not torch.isfinite(z).all():
        raise FloatingPointError(
            "the latents are not finite any more: lower the guidance or the control's scale; else weights are broken"
        )
    return z
