"""The ControlNet: names of the published files and of diffusers."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from zeroconv.checkpoints.architecture.unet_shape import UNetShape, side
from zeroconv.checkpoints.keys.table import Entry, Table, layer
from zeroconv.checkpoints.keys.unet import encoder_entries, skip_count

__all__ = ["ConditionEncoderShape", "condition_encoder_shape", "controlnet_table"]

BLOCKS = 6
"""Convolutions of the condition encoder between its first and its last, as in every published file."""


class ConditionEncoderShape(NamedTuple):
    """What the shapes say about a condition encoder.

    Attributes:
        channels: of the condition image; 3 in every published file.
        widths: (16, 32, 96, 256) in every published file.
    """

    channels: int
    widths: tuple[int, ...]


def controlnet_table(unet_shape: UNetShape) -> Table:
    """Every tensor of a ControlNet: 340 for SD 1.5 and 2.1, 844 for SDXL.

    Theirs are the bare names, without the prefix `control_model.` of some files.
    """
    return Table((*encoder_entries(unet_shape), *control_entries(skip_count(unet_shape))))


def control_entries(skips: int) -> Iterator[Entry]:
    """What a ControlNet has beside the copy: the condition encoder, and a zero convolution for each output."""
    yield from layer("input_hint_block.0", "controlnet_cond_embedding.conv_in")
    for k in range(BLOCKS):  # theirs counts the activations between the convolutions
        yield from layer(f"input_hint_block.{2 * (k + 1)}", f"controlnet_cond_embedding.blocks.{k}")
    yield from layer(f"input_hint_block.{2 * (BLOCKS + 1)}", "controlnet_cond_embedding.conv_out")
    for i in range(skips):
        yield from layer(f"zero_convs.{i}.0", f"controlnet_down_blocks.{i}")
    yield from layer("middle_block_out.0", "controlnet_mid_block")


def condition_encoder_shape(shapes: Mapping[str, tuple[int, ...]]) -> ConditionEncoderShape:
    """Channels of the condition image and widths of the condition encoder, from bare names of either layout.

    Raises:
        ValueError: when a convolution of it is missing or is none.
    """
    ours = "controlnet_cond_embedding.conv_in.weight" in shapes
    first = "controlnet_cond_embedding.conv_in.weight" if ours else "input_hint_block.0.weight"
    later = [
        f"controlnet_cond_embedding.blocks.{k}.weight" if ours else f"input_hint_block.{2 * (k + 1)}.weight"
        for k in range(1, BLOCKS, 2)
    ]
    widths = (side(shapes, first, 0, 4), *(side(shapes, name, 0, 4) for name in later))
    return ConditionEncoderShape(side(shapes, first, 1, 4), widths)
