"""Loss, guidance, sampling and keyed noise, for any callable denoiser (section 3.3)."""

from zeroconv.diffusion.denoiser import Denoiser
from zeroconv.diffusion.guidance import CFGDenoiser, ControlGuidanceDenoiser
from zeroconv.diffusion.known_latents import KnownLatents, count_run_steps
from zeroconv.diffusion.objective import denoising_loss, snr_weight, training_target
from zeroconv.diffusion.randomness import generator, keyed_noise
from zeroconv.diffusion.samplers import SAMPLERS, Sampler, build_scheduler, canonical_sampler
from zeroconv.diffusion.sampling import initial_noise, sample_latents
from zeroconv.diffusion.schedule import NoiseSchedule
from zeroconv.diffusion.timesteps import TimestepDistribution, logit_normal

__all__ = [
    "SAMPLERS",
    "CFGDenoiser",
    "ControlGuidanceDenoiser",
    "Denoiser",
    "KnownLatents",
    "NoiseSchedule",
    "Sampler",
    "TimestepDistribution",
    "build_scheduler",
    "canonical_sampler",
    "count_run_steps",
    "denoising_loss",
    "generator",
    "initial_noise",
    "keyed_noise",
    "logit_normal",
    "sample_latents",
    "snr_weight",
    "training_target",
]
