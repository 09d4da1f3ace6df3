"""The parts of a run, built from its settings."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image

from zeroconv.control import ControlledUNet, ControlNet
from zeroconv.data import Pair
from zeroconv.diffusion import NoiseSchedule
from zeroconv.errors import InputError
from zeroconv.generation import ControlPipeline
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.defaults import (
    default_channels,
    default_learning_rate,
    default_optimizer,
    default_probe_steps,
    is_wide,
    reextract_parameters,
    timesteps_of_step,
)
from zeroconv.training.config.groups import OptimizationConfig
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.loop import TrainingLoss
from zeroconv.training.optimization.optimizer import new_optimizer
from zeroconv.training.probing.held_out_loss import HeldOutLoss
from zeroconv.training.probing.probe import Probe

__all__ = ["build_network", "build_optimizer", "build_probe", "build_schedule", "open_base"]


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


def build_network(config: TrainConfig, base: StableDiffusion) -> ControlNet:
    """A ControlNet initialised from the base, or the one to begin from; the global generator is left as it was."""
    model, data = config.model, config.data
    with torch.random.fork_rng():
        torch.manual_seed(config.optimization.seed)  # the condition encoder's start; every later draw is keyed
        if model.control is not None:
            network = ControlNet.from_pretrained(model.control, unet=base.unet)
        else:
            network = ControlNet.from_unet(
                base.unet,
                variant=model.variant,
                rank=model.rank,
                connection=model.connection,
                condition_encoder=model.condition_encoder,
                conditioning_embedding_out_channels=model.condition_encoder_channels or default_channels(base),
            )
    extract = {key: value for key, value in data.extract.items() if key != "device"}
    network.config = replace(network.config, base=model.base, condition=data.condition, extract=extract)
    return network


def build_optimizer(network: ControlNet, optimization: OptimizationConfig, base: StableDiffusion) -> torch.optim.Optimizer:
    """The optimizer that the settings ask for; a base's widths decide what they leave open."""
    rate = optimization.learning_rate or default_learning_rate(base)
    return new_optimizer(network, optimization.optimizer or default_optimizer(base), rate, optimization.weight_decay)


def build_probe(config: TrainConfig, base: StableDiffusion, pairs: Sequence[Pair], maps: Sequence[Image.Image]) -> Probe:
    """The probe on held-out pairs and their maps, with the settings that say how it is made (`settle_probe`)."""
    sampling = config.probe.steps or default_probe_steps(is_wide(base)), config.probe.guidance
    held_out_loss = build_held_out_loss(config, base, pairs, maps)
    judge = reextract_parameters(config)
    return Probe(ControlPipeline(base), config.data.condition, pairs, *sampling, maps, judge, held_out_loss)


def build_held_out_loss(
    config: TrainConfig, base: StableDiffusion, pairs: Sequence[Pair], maps: Sequence[Image.Image]
) -> HeldOutLoss:
    """The denoising loss on held-out pairs, at time steps that the run learns from its first step on."""
    optimization, schedule = config.optimization, build_schedule(base).to(config.optimization.device)
    timesteps = timesteps_of_step(optimization, is_wide(base), len(schedule), 0)

    def loss_of(network: ControlNet) -> TrainingLoss:
        unet = ControlledUNet(base.unet)
        return TrainingLoss(unet, network, schedule, base.prediction_type, optimization.min_snr_gamma)

    return HeldOutLoss(loss_of, base, config.data.condition, pairs, maps, timesteps, optimization.device)
