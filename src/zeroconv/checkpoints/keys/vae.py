"""The autoencoder: names of the original layout (`first_stage_model.…`, here without that prefix) and of diffusers."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from zeroconv.checkpoints.architecture.limits import MAX_BLOCKS, MAX_LEVELS
from zeroconv.checkpoints.architecture.unet_shape import side
from zeroconv.checkpoints.keys.table import Entry, Table, layer

__all__ = ["VaeShape", "foreign_vae", "vae_shape", "vae_table"]

FOREIGN_LATENTS = 16
"""Latent channels of FLUX.1 and Stable Diffusion 3, whose latents are also shifted before they are scaled."""


class VaeShape(NamedTuple):
    """What the shapes say about an autoencoder.

    Attributes:
        channels: of each level, shallow to deep; (128, 256, 512, 512) in every published one.
        blocks: residual blocks of each level in the encoder, 2; the decoder has one more.
        latent_channels: 4 in Stable Diffusion.
        quantised: whether a convolution stands on both sides of the latents, as in every one of Stable Diffusion 1 to XL.
    """

    channels: tuple[int, ...]
    blocks: int
    latent_channels: int
    quantised: bool = True


def vae_table(shape: VaeShape) -> Table:
    """Every tensor of an autoencoder: 248 for the published ones."""
    channels, blocks = shape.channels, shape.blocks
    around = (*layer("quant_conv", "quant_conv"), *layer("post_quant_conv", "post_quant_conv")) if shape.quantised else ()
    return Table((*encoder_entries(channels, blocks), *around, *decoder_entries(channels, blocks)))


def foreign_vae(shape: VaeShape) -> str | None:
    """Whose autoencoder it is, if it is none that this project opens; else None."""
    if shape.quantised or shape.latent_channels != FOREIGN_LATENTS:
        return None
    return (
        f"it is the autoencoder of FLUX.1 or Stable Diffusion 3, by its {shape.latent_channels} latent channels and no "
        "'quant_conv', which this project does not open"
    )


def encoder_entries(channels: tuple[int, ...], blocks: int) -> Iterator[Entry]:
    """Picture to latents."""
    yield from layer("encoder.conv_in", "encoder.conv_in")
    before = channels[0]
    for level, width in enumerate(channels):
        theirs, ours = f"encoder.down.{level}", f"encoder.down_blocks.{level}"
        for block in range(blocks):
            yield from residual(f"{theirs}.block.{block}", f"{ours}.resnets.{block}", before != width)
            before = width
        if level < len(channels) - 1:
            yield from layer(f"{theirs}.downsample.conv", f"{ours}.downsamplers.0.conv")
    yield from middle_and_end("encoder")


def decoder_entries(channels: tuple[int, ...], blocks: int) -> Iterator[Entry]:
    """Latents to picture; theirs counts the levels from the shallow end, ours in the order they are run through."""
    yield from layer("decoder.conv_in", "decoder.conv_in")
    before = channels[-1]
    for turn, level in enumerate(reversed(range(len(channels)))):
        theirs, ours = f"decoder.up.{level}", f"decoder.up_blocks.{turn}"
        for block in range(blocks + 1):
            yield from residual(f"{theirs}.block.{block}", f"{ours}.resnets.{block}", before != channels[level])
            before = channels[level]
        if level > 0:
            yield from layer(f"{theirs}.upsample.conv", f"{ours}.upsamplers.0.conv")
    yield from middle_and_end("decoder")


def middle_and_end(half: str) -> Iterator[Entry]:
    """Middle block and output of one half; the attention's layers are 1x1 convolutions in theirs."""
    yield from residual(f"{half}.mid.block_1", f"{half}.mid_block.resnets.0", False)
    theirs, ours = f"{half}.mid.attn_1", f"{half}.mid_block.attentions.0"
    yield from layer(f"{theirs}.norm", f"{ours}.group_norm")
    for there, here in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        yield from layer(f"{theirs}.{there}", f"{ours}.{here}", "linear")
    yield from residual(f"{half}.mid.block_2", f"{half}.mid_block.resnets.1", False)
    yield from layer(f"{half}.norm_out", f"{half}.conv_norm_out")
    yield from layer(f"{half}.conv_out", f"{half}.conv_out")


def residual(theirs: str, ours: str, shortcut: bool) -> Iterator[Entry]:
    """A residual block; it has a shortcut where the number of channels changes."""
    for name in ("norm1", "conv1", "norm2", "conv2"):
        yield from layer(f"{theirs}.{name}", f"{ours}.{name}")
    if shortcut:
        yield from layer(f"{theirs}.nin_shortcut", f"{ours}.conv_shortcut")


def vae_shape(shapes: Mapping[str, tuple[int, ...]]) -> VaeShape:
    """The shape of an autoencoder, from bare names of either layout.

    Raises:
        ValueError: naming a tensor that is missing or of a shape it cannot have.
    """
    ours = "encoder.down_blocks.0.resnets.0.conv1.weight" in shapes
    pattern = "encoder.down_blocks.{}.resnets.{}.conv1.weight" if ours else "encoder.down.{}.block.{}.conv1.weight"
    levels = [level for level in range(MAX_LEVELS + 1) if pattern.format(level, 0) in shapes]
    blocks = [block for block in range(MAX_BLOCKS + 1) if pattern.format(0, block) in shapes]
    if not 0 < len(levels) <= MAX_LEVELS or len(blocks) > MAX_BLOCKS:
        raise ValueError(
            f"this is no autoencoder of Stable Diffusion: {pattern.format(0, 0)!r} and its like stand for {len(levels)} "
            f"levels and {len(blocks)} blocks; expected 1 to {MAX_LEVELS} of both"
        )
    channels = tuple(side(shapes, pattern.format(level, 0), 0, 4) for level in levels)
    quantised = any(name.startswith(("quant_conv.", "post_quant_conv.")) for name in shapes)
    return VaeShape(channels, len(blocks), side(shapes, "decoder.conv_in.weight", 1, 4), quantised)
