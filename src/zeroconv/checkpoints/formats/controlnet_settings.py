"""The configuration of a ControlNet in a file: as it is carried there, overruled by the user, or guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from zeroconv.checkpoints import read_config
from zeroconv.checkpoints.architecture.families import FamilyKey
from zeroconv.checkpoints.architecture.unet_shape import UNetShape, other_family
from zeroconv.checkpoints.files.safetensors import read_header
from zeroconv.checkpoints.formats.configs import controlnet_config
from zeroconv.checkpoints.formats.controlnet_config import (
    BORROWED,
    PAPER_CHANNELS,
    RELEASED_CHANNELS,
    UNET_SETTINGS,
    ConditionEncoderForm,
    Connection,
    ControlNetConfig,
    Variant,
)
from zeroconv.checkpoints.formats.controlnet_hints import NO_HINTS, ControlNetHints, config_in_metadata, guess_hints
from zeroconv.checkpoints.formats.controlnet_union import UnionConfig
from zeroconv.checkpoints.formats.single_file import shapes_of
from zeroconv.checkpoints.keys.controlnet import condition_encoder_shape
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

__all__ = [
    "announce",
    "config_from_unet",
    "guess_config",
    "guess_from_name",
    "override_config",
    "parse_config",
    "read_stored_config",
]


def read_stored_config(path: Path) -> ControlNetConfig | None:
    """The configuration that a folder or file carries, read without its tensors; None for a file that carries none.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it describes no ControlNet.
    """
    carried = read_config(path) if path.is_dir() else config_in_metadata(read_header(path).metadata)
    return parse_config(carried, path) if carried is not None else None


def parse_config(config: Mapping[str, Any], path: Path) -> ControlNetConfig:
    """The configuration that a file or folder holds.

    Raises:
        ValueError: naming the file, when it describes no ControlNet.
    """
    try:
        return ControlNetConfig.from_dict(config)
    except ValueError as error:
        where = path / "config.json" if path.is_dir() else path
        raise ValueError(f"{where} describes no ControlNet: {error}") from error


def override_config(config: ControlNetConfig, hints: ControlNetHints) -> ControlNetConfig:
    """The configuration with what the hints say in place of what it says."""
    given = {name: value for name, value in vars(hints).items() if value is not None}
    return replace(config, **given) if given else config


def guess_from_name(path: Path, hints: ControlNetHints, family: FamilyKey | None = None) -> ControlNetHints:
    """What the name of a file of a family says about it, announced as far as the user did not say it."""
    guess = guess_hints(path.stem, family)
    announce(path.name, guess, hints)
    return guess


def announce(name: str, guess: ControlNetHints, hints: ControlNetHints) -> None:
    """Warn of what was guessed from a name and not said by the user."""
    new = ControlNetHints(**{key: value for key, value in vars(guess).items() if getattr(hints, key) is None})
    if new.sentences():
        tell(Message(f"{name}: guessed from its name: {'; '.join(new.sentences())}", "file.guessed"))


def guess_config(
    path: Path, tensors: Mapping[str, Tensor], unet: "UNet2DConditionModel | None", hints: ControlNetHints
) -> ControlNetConfig:
    """That of a file that carries none: the base's where it fits, else from shapes; and, announced, from its name."""
    shapes = shapes_of(tensors)
    encoder, shape = condition_encoder_shape(shapes), UNetShape.of_diffusers(shapes)
    union = UnionConfig.of_shapes(shapes)
    guess = NO_HINTS if union else guess_from_name(path, hints, shape.family.key)
    base = None if unet is None else UNetShape.of_config(unet.config)
    if base is not None and (reason := other_family(shape, base, str(path))):
        raise ValueError(reason)
    if unet is not None and base is not None and replace(base, out_channels=None) == shape:
        config = config_from_unet(unet, encoder.channels, conditioning_embedding_out_channels=encoder.widths)
    else:
        try:
            settings = controlnet_config(shape, None, None, encoder.channels, encoder.widths)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        config = parse_config(settings, path)
    return override_config(config if union is None else replace(config, union=union), guess)


def config_from_unet(
    unet: "UNet2DConditionModel",
    conditioning_channels: int = 3,
    variant: Variant = "full",
    connection: Connection = "zero",
    condition_encoder: ConditionEncoderForm = "released",
    conditioning_embedding_out_channels: Sequence[int] | None = None,
    base: str | None = None,
    rank: int | None = None,
) -> ControlNetConfig:
    """The configuration of a new ControlNet for a U-Net; the arguments are those of `ControlNet.from_unet`.

    Raises:
        ValueError: for a value that `ControlNetConfig` does not know.
    """
    widths = conditioning_embedding_out_channels or (PAPER_CHANNELS if condition_encoder == "paper" else RELEASED_CHANNELS)
    return ControlNetConfig(
        unet_settings={name: unet.config[name] for name in UNET_SETTINGS if name in unet.config},
        conditioning_channels=conditioning_channels,
        conditioning_embedding_out_channels=tuple(widths),
        variant=variant,
        connection=connection,
        condition_encoder=condition_encoder,
        base=base,
        rank=rank if variant == "lora" else None,
        vectors=BORROWED if variant == "lora" else None,
    )
