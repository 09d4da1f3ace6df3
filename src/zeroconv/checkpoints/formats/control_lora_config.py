"""The configuration of a Control-LoRA: read off its tensors, and which of them are its own."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from torch import Tensor

from zeroconv.checkpoints.formats.control_lora import WHOLE
from zeroconv.checkpoints.formats.controlnet_config import BORROWED, ControlNetConfig, config_from_unet, encoder_tensors
from zeroconv.checkpoints.keys.controlnet import condition_encoder_shape

__all__ = ["config_from_control_lora", "drop_borrowed_vectors"]


def config_from_control_lora(unet: Any, own: Mapping[str, Tensor], config: ControlNetConfig | None) -> ControlNetConfig:
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


def own_vectors(unet: Any, own: Mapping[str, Tensor]) -> Literal["borrowed"] | tuple[str, ...] | None:
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
        if kept is None or tensor.ndim != 1 or name.startswith(WHOLE) or name in kept
    }
