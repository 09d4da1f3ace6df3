"""What a run takes where its settings leave it open."""

from typing import Any

from zeroconv import conditions
from zeroconv.diffusion import NoiseSchedule
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config import TrainConfig

__all__ = [
    "build_schedule",
    "default_channels",
    "default_learning_rate",
    "extractor_parameters",
    "open_base",
    "reextract_parameters",
]


def extractor_parameters(config: TrainConfig) -> dict[str, Any]:
    """The extractor's parameters that are not drawn: those of the settings; its network runs where the training does."""
    learned = "device" in conditions.defaults(conditions.get(config.data.condition))
    return {**({"device": config.optimization.device} if learned else {}), **config.data.extract}


def reextract_parameters(config: TrainConfig) -> dict[str, Any]:
    """Who reads the maps of probes back, where the training runs unless the settings say another device."""
    name, device = config.data.condition, {"device": config.optimization.device}
    if config.probe.judge:
        asked = conditions.reextract_parameters(name, None, device) | config.probe.judge
        return conditions.reextract_parameters(name, asked, {})
    return conditions.reextract_parameters(name, None, device | config.data.extract)


def open_base(config: TrainConfig) -> StableDiffusion:
    """The base as the settings ask for it."""
    base = StableDiffusion.from_pretrained(
        config.model.base, vae=config.model.vae, prediction_type=config.model.prediction_type
    )
    return base.to(config.optimization.device)


def build_schedule(base: StableDiffusion) -> NoiseSchedule:
    """The noise schedule a base was trained with.

    Raises:
        InputError: for betas that are not "scaled_linear", or rescaled.
    """
    kind = base.scheduler_config.get("beta_schedule")
    if kind != "scaled_linear":
        message = f"{base.name} has the noise schedule {kind!r}; training understands 'scaled_linear'"
        raise InputError(message, field="model.base")
    if base.scheduler_config.get("rescale_betas_zero_snr"):
        message = f"{base.name} has zero terminal SNR (rescale_betas_zero_snr), which training does not understand"
        raise InputError(message, field="model.base")
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
