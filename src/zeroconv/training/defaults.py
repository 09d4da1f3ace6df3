"""What a run takes where its settings leave it open."""

from typing import Any

from zeroconv import conditions
from zeroconv.diffusion import NoiseSchedule
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config import TrainConfig

__all__ = ["default_channels", "default_learning_rate", "given_parameters", "judge_for", "open_base", "schedule_of"]


def given_parameters(config: TrainConfig) -> dict[str, Any]:
    """The extractor's parameters that are not drawn: those of the settings; its network runs where the training does."""
    learned = "device" in conditions.defaults(conditions.get(config.condition))
    return {**({"device": config.device} if learned else {}), **config.extract}


def judge_for(config: TrainConfig) -> dict[str, Any]:
    """Who reads the maps of probes back, where the training runs unless the settings say another device."""
    name, here = config.condition, {"device": config.device}
    if config.judge:
        return conditions.reextract_parameters(name, {**conditions.reextract_parameters(name, None, here), **config.judge}, {})
    return conditions.reextract_parameters(name, None, here | config.extract)


def open_base(config: TrainConfig) -> StableDiffusion:
    """The base as the settings ask for it."""
    base = StableDiffusion.from_pretrained(config.base, vae=config.vae, prediction_type=config.prediction_type)
    return base.to(config.device)


def schedule_of(base: StableDiffusion) -> NoiseSchedule:
    """The noise schedule a base was trained with.

    Raises:
        ValueError: for betas that are not "scaled_linear", or rescaled.
    """
    kind = base.scheduler_config.get("beta_schedule")
    if kind != "scaled_linear":
        raise ValueError(f"{base.name} has the noise schedule {kind!r}; training understands 'scaled_linear'")
    if base.scheduler_config.get("rescale_betas_zero_snr"):
        raise ValueError(f"{base.name} has zero terminal SNR (rescale_betas_zero_snr), which training does not understand")
    return NoiseSchedule.scaled_linear(
        base.scheduler_config["num_train_timesteps"], base.scheduler_config["beta_start"], base.scheduler_config["beta_end"]
    )


def default_channels(base: StableDiffusion) -> tuple[int, ...] | None:
    """Widths of the condition encoder: the form's own for Stable Diffusion's widths, narrower for narrower bases.

    At full picture size the published widths would cost a narrow base more than its whole U-Net.
    """
    return None if base.unet.config.block_out_channels[0] >= 320 else (8, 16, 32, 64)


def default_learning_rate(base: StableDiffusion) -> float:
    """1e-5 for Stable Diffusion's widths (the authors' tutorial); 1e-3 for narrower bases, found on the tiny one."""
    return 1e-5 if base.unet.config.block_out_channels[0] >= 320 else 1e-3
