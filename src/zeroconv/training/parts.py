"""The parts of a run, built from its settings."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image

from zeroconv.control import ControlNet
from zeroconv.data import Pair
from zeroconv.diffusion import NoiseSchedule
from zeroconv.errors import InputError
from zeroconv.generation import ControlPipeline
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.broken_weights import broken_weight
from zeroconv.training.config.defaults import (
    default_channels,
    default_learning_rate,
    default_optimizer,
    reextract_parameters,
)
from zeroconv.training.config.groups import OptimizationConfig
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.optimization.optimizer import new_optimizer
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
    """A ControlNet initialised from the base, or the one to begin from; the global generator is left as it was.

    Raises:
        InputError: for one to begin from whose weights are not finite.
    """
    model, data = config.model, config.data
    with torch.random.fork_rng():
        torch.manual_seed(config.optimization.seed)  # the condition encoder's start; every later draw is keyed
        if model.control is not None:
            network = ControlNet.from_pretrained(model.control, unet=base.unet)
            if name := broken_weight(network):
                said = f"the ControlNet {model.control!r} holds weights that are not finite (first: {name})"
                raise InputError(said, field="model.control", hint="begin from another, or from the base")
        else:
            network = ControlNet.from_unet(
                base.unet,
                variant=model.variant,
                rank=model.rank,
                connection=model.connection,
                condition_encoder=model.condition_encoder,
                conditioning_embedding_out_channels=model.condition_encoder_channels or default_channels(base),
            )
    if network.decoder is not None and not model.unlock_decoder:
        message = f"{model.control} was trained with the base's decoder unlocked: go on with unlock_decoder=true"
        raise InputError(message, field="model.unlock_decoder")
    if model.unlock_decoder and network.decoder is None:
        network.unlock_decoder(base.unet)
    extract = {key: value for key, value in data.extract.items() if key != "device"}
    network.config = replace(network.config, base=model.base, condition=data.condition, extract=extract)
    return network


def build_optimizer(network: ControlNet, optimization: OptimizationConfig, base: StableDiffusion) -> torch.optim.Optimizer:
    """The optimizer that the settings ask for; a base's widths decide what they leave open."""
    rate = optimization.learning_rate or default_learning_rate(base, network.decoder is not None)
    return new_optimizer(network, optimization.optimizer or default_optimizer(base), rate, optimization.weight_decay)


def build_probe(config: TrainConfig, base: StableDiffusion, pairs: Sequence[Pair], maps: Sequence[Image.Image]) -> Probe:
    """The probe on held-out pairs and their maps."""
    sampling = config.probe.steps, config.probe.guidance
    return Probe(ControlPipeline(base), config.data.condition, pairs, *sampling, maps, reextract_parameters(config))
