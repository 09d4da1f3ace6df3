"""The parts of a run, built from its settings."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image

from zeroconv import conditions
from zeroconv.checkpoints.formats.controlnet_hints import split_condition
from zeroconv.checkpoints.formats.controlnet_union import control_type
from zeroconv.conditions.parameters import without_device
from zeroconv.control import ControlledUNet, ControlNet
from zeroconv.control.condition_channels import CHANNELS, read_conditions
from zeroconv.data import Pair
from zeroconv.diffusion import NoiseSchedule
from zeroconv.errors import InputError
from zeroconv.generation import ControlPipeline
from zeroconv.messages import Message, tell
from zeroconv.runtime.packed_modules import packed_bytes
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.broken_weights import broken_weight
from zeroconv.training.config.defaults import (
    default_channels,
    default_fused,
    default_learning_rate,
    default_optimizer,
    default_probe_steps,
    is_wide,
    reextract_parameters,
    timesteps_of_step,
)
from zeroconv.training.config.optimization import OptimizationConfig
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.loop import TrainingLoss
from zeroconv.training.optimization.optimizer import new_optimizer
from zeroconv.training.precision.dtypes import NAMES, base_dtype, compute_dtype
from zeroconv.training.precision.locked_base import Float32Encoders, lock_base
from zeroconv.training.probing.held_out_loss import HeldOutLoss
from zeroconv.training.probing.probe import Probe

__all__ = [
    "build_loss",
    "build_network",
    "build_optimizer",
    "build_probe",
    "build_schedule",
    "check_packing",
    "check_size",
    "encoders_of",
    "lock_and_build",
    "open_base",
]

ANOTHER = "begin from another, or from the base"


def open_base(config: TrainConfig) -> StableDiffusion:
    """The base as the settings ask for it."""
    base = StableDiffusion.from_pretrained(
        config.model.base, vae=config.model.vae, prediction_type=config.model.prediction_type
    )
    return base.to(config.optimization.device)


def lock_and_build(config: TrainConfig, base: StableDiffusion) -> tuple[StableDiffusion, ControlNet]:
    """The base in the type that its weights are kept in, and the network that learns, which begins from float32.

    A low-rank network has no weights of the base: those it borrows are of the base's type.

    Args:
        config: the settings.
        base: opened in float32, and left as it is.

    Raises:
        InputError: for a low-rank network on a base of another type than it computes in.
    """
    network, kind = build_network(config, base), base_dtype(config)
    locked = lock_base(base, kind, compute_dtype(config))
    is_low_rank, unlocked = network.config.variant == "lora", network.decoder is not None
    if (is_low_rank or unlocked) and kind != (computed := NAMES[config.optimization.precision]):
        why = (
            "a low-rank network borrows the base's weights"
            if is_low_rank
            else "an unlocked decoder goes on from the base's encoder"
        )
        message = f"{why}: base_dtype is {kind!r}, expected {computed!r} as the precision"
        raise InputError(message, field="model.base_dtype")
    if not is_low_rank:
        return locked, network
    return locked, network if locked is base else build_network(config, locked)


def check_size(config: TrainConfig, base: StableDiffusion, size: tuple[int, int]) -> None:
    """Refuse what bfloat16 cannot be trusted with on a CPU: a map of one cell that is halved.

    torch 2.13 leaves weights' gradients of such a convolution (stride 2 on 1 x 1) unset in part: they are what the memory held.

    Args:
        config: the settings.
        base: to be locked.
        size: width and height of the pictures in pixels.

    Raises:
        InputError: naming the smallest side that works.
    """
    least = base.vae_scale_factor * 2 ** (len(base.unet.config.block_out_channels) - 1)
    if config.optimization.precision == "bf16" and base.device.type == "cpu" and min(size) < least:
        message = f"precision 'bf16' on a CPU needs pictures of {least} pixels at least for this base, got {size[0]}x{size[1]}"
        raise InputError(message, field="optimization.precision", hint="take fp32, or larger pictures")


def check_packing(config: TrainConfig, base: StableDiffusion) -> None:
    """Refuse to pack a base that cannot be packed.

    Args:
        config: the settings.
        base: locked, in the type it is kept in.

    Raises:
        InputError: naming the setting that is in the way.
    """
    if not config.optimization.pack_base:
        return
    if config.parallel.shard == "all":
        raise InputError("pack_base keeps the base's convolutions whole, and shard=all divides them", field="parallel.shard")
    if not packed_bytes(base.unet):
        message = f"pack_base finds nothing to pack in a base of {base_dtype(config)} weights on {base.device.type}"
        raise InputError(
            message, field="optimization.pack_base", hint="it is for float32 on a CPU, or bfloat16 where that has it"
        )


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


def build_loss(config: TrainConfig, base: StableDiffusion, network: ControlNet, device: str) -> TrainingLoss:
    """The loss of a network on a base, computed as the settings say; both are on the device."""
    optimization = config.optimization
    return TrainingLoss(
        ControlledUNet(base.unet),
        network,
        build_schedule(base).to(device),
        base.prediction_type,
        optimization.min_snr_gamma,
        compute_dtype(config),
        optimization.checkpoint_encoder,
        optimization.checkpoint_decoder,
        optimization.pack_base,
    )


def encoders_of(base: StableDiffusion) -> StableDiffusion:
    """The base as it encodes pictures and prompts for the cache: in float32, whatever type its U-Net has."""
    return base if base.dtype == torch.float32 else Float32Encoders(**vars(base))


def build_network(config: TrainConfig, base: StableDiffusion) -> ControlNet:
    """A ControlNet initialised from the base, or the one to begin from; the global generator is left as it was.

    Raises:
        InputError: for one to begin from whose weights are not finite, or that cannot follow the condition.
    """
    model, data = config.model, config.data
    parts = [part.name for part in conditions.get(data.condition).each]
    with torch.random.fork_rng():
        torch.manual_seed(config.optimization.seed)  # the condition encoder's start; every later draw is keyed
        if model.control is not None:
            network = ControlNet.from_pretrained(model.control, unet=base.unet)
            if name := broken_weight(network):
                said = f"the ControlNet {model.control!r} holds weights that are not finite (first: {name})"
                raise InputError(said, field="model.control", hint=ANOTHER)
            if network.config.union is not None and len(parts) == 1:
                begin_with_union(network, model.control, parts[0])
            else:
                begin_with_conditions(network, parts)
        else:
            network = ControlNet.from_unet(
                base.unet,
                CHANNELS * len(parts),
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
    extract = without_device(data.extract)
    network.config = replace(network.config, base=model.base, condition=data.condition, extract=extract)
    return network


def begin_with_conditions(network: ControlNet, wanted: Sequence[str]) -> None:
    """Have a network that is begun from read the maps of other conditions than it did, and say what that means.

    Args:
        network: the one that is opened; changed in place.
        wanted: the conditions that it is to follow.

    Raises:
        InputError: for one whose condition encoder cannot be told to.
    """
    known = conditions.find(network.config.condition)
    before = [part.name for part in known.each] if known else [str(network.config.condition)]
    fits = network.config.conditioning_channels == CHANNELS * len(wanted)
    if fits and (before == list(wanted) or len(before) == len(wanted) == 1):
        return
    try:
        kept = read_conditions(network, before, wanted)
    except ValueError as error:
        raise InputError(str(error), field="model.control", hint=ANOTHER) from None
    said = [f"its channels of {' and '.join(kept)} stay" if kept[0] in before else f"those channels are given to {kept[0]}"]
    if new := [name for name in wanted if name not in kept]:
        said += [f"the channels of {' and '.join(new)} begin at zero, so that at first nothing changes"]
    if lost := [name for name in before if name not in kept] if kept[0] in before else before[1:]:
        said += [f"those of {' and '.join(lost)} are let go"]
    followed = " and ".join(before)
    tell(Message(f"{network.name} followed {followed}: {'; '.join(said)}", "control.new-conditions", "info"))


def begin_with_union(network: ControlNet, control: str, wanted: str) -> None:
    """Look whether a ControlNet-Union can learn a condition, and say what becomes of its others.

    It stays a Union: what its token adds to the features is no linear function of their mean over the whole picture, which no
    condition encoder of an ordinary ControlNet computes.

    Args:
        network: the one that is opened.
        control: as what it was asked for.
        wanted: the condition that it is to follow.

    Raises:
        InputError: for one that it has no control type for, or another than its name says.
    """
    assert network.config.union is not None, "a Union"
    _, said = split_condition(control)
    try:
        control_type(network.config.union, wanted)
    except InputError as error:
        raise InputError(str(error), field="model.control", hint=ANOTHER) from None
    if said and said != wanted:
        message = f"{control} is a ControlNet-Union told to follow {said}, and the run learns {wanted}"
        raise InputError(message, field="model.control", hint=f"leave out #{said}, or learn it: condition={said}")
    name = network.name.partition("#")[0]
    text = f"{name} is a ControlNet-Union and stays one: it learns {wanted} alone, and may forget its other conditions"
    tell(Message(text, "control.union", "info"))


def build_optimizer(network: ControlNet, optimization: OptimizationConfig, base: StableDiffusion) -> torch.optim.Optimizer:
    """The optimizer that the settings ask for; a base's widths decide what they leave open."""
    name = optimization.optimizer or default_optimizer(base)
    rate = optimization.learning_rate or default_learning_rate(base, name, network.decoder is not None)
    return new_optimizer(network, name, rate, optimization.weight_decay, default_fused(optimization, base))


def build_probe(config: TrainConfig, base: StableDiffusion, pairs: Sequence[Pair], maps: Sequence[Image.Image]) -> Probe:
    """The probe on held-out pairs and their maps, with the settings that say how it is made (`settle_probe`)."""
    sampling = config.probe.steps or default_probe_steps(is_wide(base)), config.probe.guidance
    held_out_loss = build_held_out_loss(config, base, pairs, maps)
    judge = reextract_parameters(config)
    return Probe(
        ControlPipeline(base).optimize(runtime="torch"), config.data.condition, pairs, *sampling, maps, judge, held_out_loss
    )


def build_held_out_loss(
    config: TrainConfig, base: StableDiffusion, pairs: Sequence[Pair], maps: Sequence[Image.Image]
) -> HeldOutLoss:
    """The denoising loss on held-out pairs, at time steps that the run learns from its first step on, all equally often."""
    unpacked = config.optimization.model_copy(update={"pack_base": False})  # a few batches do not pay for packing
    config, optimization = config.model_copy(update={"optimization": unpacked}), unpacked
    timesteps = timesteps_of_step(optimization, is_wide(base), base.scheduler_config["num_train_timesteps"], 0).possible

    def loss_of(base: StableDiffusion, network: ControlNet) -> TrainingLoss:
        return build_loss(config, base, network, optimization.device)

    return HeldOutLoss(loss_of, base, config.data.condition, pairs, maps, timesteps, optimization.device)
