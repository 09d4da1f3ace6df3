"""What a run takes where its settings leave it open."""

from typing import Any

from zeroconv import conditions
from zeroconv.conditions.parameters import device_parameters
from zeroconv.diffusion import TimestepDistribution, logit_normal
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.optimization import OptimizationConfig, OptimizerName, Timesteps
from zeroconv.training.config.train_config import TrainConfig

__all__ = [
    "default_channels",
    "default_fused",
    "default_learning_rate",
    "default_optimizer",
    "default_probe_count",
    "default_probe_steps",
    "default_timesteps",
    "extractor_parameters",
    "is_wide",
    "reextract_parameters",
    "settle_probe",
    "timesteps_of_step",
]


UNLOCKED = 0.2  # of the learning rate where the decoder is trained, too
LOWEST_FIRST, UNIFORM_FROM = 0.4, 2 / 3
"""With "high-first" this share of the time steps is left out until this share of the training is done."""


def extractor_parameters(config: TrainConfig) -> dict[str, Any]:
    """The extractor's parameters that are not drawn: those of the settings; its network runs where the training does."""
    return {**device_parameters(conditions.get(config.data.condition), config.optimization.device), **config.data.extract}


def reextract_parameters(config: TrainConfig) -> dict[str, Any]:
    """Who reads the maps of probes back, where the training runs unless the settings say another device."""
    name = config.data.condition
    device = device_parameters(conditions.get(name), config.optimization.device)
    if config.probe.judge:
        asked = conditions.reextract_parameters(name, None, device) | config.probe.judge
        return conditions.reextract_parameters(name, asked, {})
    return conditions.reextract_parameters(name, None, device | config.data.extract)


def default_channels(base: StableDiffusion) -> tuple[int, ...] | None:
    """Widths of the condition encoder: the form's own for Stable Diffusion's widths, narrower for narrower bases.

    At full picture size the published widths would cost a narrow base more than its whole U-Net.
    """
    return None if is_wide(base) else (8, 16, 32, 64)


def is_wide(base: StableDiffusion) -> bool:
    """Whether a base has Stable Diffusion's widths, for which the authors' recipe is taken until another one is measured."""
    return base.unet.config.block_out_channels[0] >= 320


def default_learning_rate(base: StableDiffusion, optimizer: OptimizerName | None = None, unlocked: bool = False) -> float:
    """1e-5 for Stable Diffusion's widths (the authors' tutorial); 1e-3 for narrower bases, found on the tiny one.

    Args:
        base: the locked base.
        optimizer: Prodigy estimates the rate itself, and is given a factor of 1.
        unlocked: whether the base's decoder is trained, too: then a fifth of that, as the authors' 2e-6.
    """
    if optimizer == "prodigy":
        return 1.0
    rate = 1e-5 if is_wide(base) else 1e-3
    return UNLOCKED * rate if unlocked else rate


def default_optimizer(base: StableDiffusion) -> OptimizerName:
    """AdamW for Stable Diffusion's widths (the authors'); Muon for narrower bases, which learn from fewer samples with it."""
    return "adamw" if is_wide(base) else "muon"


def default_fused(optimization: OptimizationConfig, base: StableDiffusion) -> bool:
    """Whether AdamW is the fused one: for Stable Diffusion's widths, where it is several times as fast, if it is left open."""
    return is_wide(base) if optimization.fused is None else optimization.fused


def default_probe_count(is_wide: bool, pairs: int) -> int:
    """Held-out pairs: 8, whose pictures are dear, for Stable Diffusion's widths; else 32, or a tenth of a small data set.

    The means of 8 pictures differ by 0.06 from one draw of pictures to the next, too much to tell the better network by.
    """
    return 8 if is_wide else min(max(pairs // 10, 8), 32)


def default_probe_steps(is_wide: bool) -> int:
    """Denoising steps in probes: on the tiny base 6 tell networks apart as 20 do, in a third of the time."""
    return 10 if is_wide else 6


def settle_probe(config: TrainConfig, before: TrainConfig | None, is_wide: bool, held_out: int) -> TrainConfig:
    """The settings with what they leave open about probes filled in, so that the run folder's settings say it.

    Args:
        config: as asked for.
        before: of the run that is gone on with, which keeps what it has; None for a new one.
        is_wide: whether the base has Stable Diffusion's widths.
        held_out: how many pairs are held out.
    """
    steps = (before and before.probe.steps) or default_probe_steps(is_wide)
    settled = {"count": config.probe.count or held_out, "steps": config.probe.steps or steps}
    return config.model_copy(update={"probe": config.probe.model_copy(update=settled)})


def default_timesteps(base: StableDiffusion) -> Timesteps:
    """Uniform for Stable Diffusion's widths (the authors'); high ones first for narrower bases, which learn faster so."""
    return "uniform" if is_wide(base) else "high-first"


def timesteps_of_step(optimization: OptimizationConfig, wide: bool, timesteps: int, step: int) -> TimestepDistribution:
    """The time steps that a step of the training draws from.

    Args:
        optimization: the settings.
        wide: whether the base has Stable Diffusion's widths, where they leave it open.
        timesteps: length T of the noise schedule.
        step: of the training, counted from 0.

    Raises:
        InputError: when the settings leave none of them, or would prefer all or none.
    """
    kind = optimization.timesteps or ("uniform" if wide else "high-first")
    is_early = step < UNIFORM_FROM * optimization.steps
    lowest, end = optimization.min_timestep, min(optimization.max_timestep or timesteps, timesteps)
    if lowest >= end:
        message = f"min_timestep is {lowest}, and this base's schedule has the time steps 0 … {timesteps - 1}"
        raise InputError(message, field="optimization.min_timestep")
    first = lowest + round(LOWEST_FIRST * (end - lowest)) if kind == "high-first" and is_early else lowest
    drawn = TimestepDistribution(range(first, end))
    if kind == "logit-normal":
        drawn = logit_normal(drawn.possible, optimization.logit_mean, optimization.logit_std)
    if optimization.timestep_bias_range is None or optimization.timestep_bias_multiplier is None:
        return drawn
    preferred = range(*optimization.timestep_bias_range)
    inside = range(max(preferred.start, lowest), min(preferred.stop, end))
    if not 0 < len(inside) < end - lowest:
        holds = "all" if inside else "none"
        message = (
            f"timestep_bias_range is {preferred.start},{preferred.stop}, which holds {holds} of the time steps that are drawn, "
            f"{lowest} … {end - 1}; expected some of them"
        )
        raise InputError(message, field="optimization.timestep_bias_range")
    return drawn.scale(preferred, optimization.timestep_bias_multiplier)
