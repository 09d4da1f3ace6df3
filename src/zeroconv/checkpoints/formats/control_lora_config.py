"""The configuration of a Control-LoRA: read off its tensors, and which of them are its own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.control_lora import NEW_MODULE_PREFIX, check_text_width, read_control_lora
from zeroconv.checkpoints.formats.controlnet_config import BORROWED, ControlNetConfig
from zeroconv.checkpoints.formats.controlnet_settings import config_from_unet
from zeroconv.checkpoints.keys.controlnet import condition_encoder_shape, controlnet_table

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

__all__ = ["config_from_control_lora", "drop_borrowed_vectors", "encoder_tensors", "fit_control_lora"]


def fit_control_lora(
    unet: "UNet2DConditionModel", tensors: Mapping[str, Tensor], config: ControlNetConfig | None
) -> tuple[dict[str, Tensor], ControlNetConfig]:
    """What a Control-LoRA is on a base: its own tensors in our names, in float32, and its configuration.

    Weights, biases and norms that the file carries whole take the place of the base's, but for biases and norms that its
    configuration calls borrowed (`vectors`): they are in the file for other tools.

    Args:
        unet: of the base.
        tensors: of the file, of ours or of another tool.
        config: of the file, if it carries one.

    Raises:
        ValueError: when the file does not fit the base.
    """
    shape = UNetShape.of_config(unet.config)
    check_text_width(tensors, shape.context)
    own = drop_borrowed_vectors(read_control_lora(tensors, controlnet_table(shape)), config)
    return {name: tensor.float() for name, tensor in own.items()}, config_from_control_lora(unet, own, config)


def config_from_control_lora(
    unet: "UNet2DConditionModel", own: Mapping[str, Tensor], config: ControlNetConfig | None
) -> ControlNetConfig:
    """The configuration of a Control-LoRA on a base: the given one, checked, or what its tensors say.

    Args:
        unet: of the base.
        own: the file's tensors in our names.
        config: from its `config.json`, if there is one.

    Raises:
        ValueError: when it does not fit the tensors or the base.
    """
    channels, widths = condition_encoder_shape({name: tuple(tensor.shape) for name, tensor in own.items()})
    rank = max((len(tensor) for name, tensor in own.items() if name.endswith(".down") and tensor.ndim), default=1)
    found = config_from_unet(unet, channels, "lora", conditioning_embedding_out_channels=widths, rank=rank)
    config = config or found
    for name in ("conditioning_channels", "conditioning_embedding_out_channels"):
        if getattr(config, name) != getattr(found, name):
            raise ValueError(
                f"config.json has {name} {getattr(config, name)!r}, the Control-LoRA's tensors {getattr(found, name)!r}"
            )
    config.check_base(unet)
    return replace(config, rank=config.rank or rank, vectors=own_vectors(unet, own))


def own_vectors(unet: nn.Module, own: Mapping[str, Tensor]) -> Literal["borrowed"] | tuple[str, ...] | None:
    """Which biases and norms are a low-rank network's own, as `ControlNetConfig.vectors` says it."""
    vectors = {name for name, tensor in encoder_tensors(unet).items() if tensor.ndim == 1}
    found = vectors & own.keys()
    return None if found == vectors else tuple(sorted(found)) or BORROWED


def drop_borrowed_vectors(tensors: Mapping[str, Tensor], config: ControlNetConfig | None) -> dict[str, Tensor]:
    """A Control-LoRA's tensors without the base's biases and norms, which files of ours carry for other tools.

    Args:
        tensors: of the file, in our names.
        config: its configuration; without one every tensor is the network's own.
    """
    vectors = None if config is None else config.vectors
    kept = None if vectors is None else set[str]() if vectors == BORROWED else set(vectors)
    return {
        name: tensor
        for name, tensor in tensors.items()
        if kept is None or tensor.ndim != 1 or name.startswith(NEW_MODULE_PREFIX) or name in kept
    }


ENCODER = ("conv_in.", "time_embedding.", "add_embedding.", "down_blocks.", "mid_block.")


def encoder_tensors(unet: nn.Module) -> dict[str, Tensor]:
    """The tensors of a U-Net's encoder and middle block, which a ControlNet copies."""
    return {name: tensor for name, tensor in unet.state_dict().items() if name.startswith(ENCODER)}
