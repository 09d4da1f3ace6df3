"""The U-Net: names of the original layout (`input_blocks`, `middle_block`, `output_blocks`) and of diffusers."""

from collections.abc import Iterator

from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.keys.table import Entry, Table, layer

__all__ = ["decoder_table", "encoder_entries", "skip_count", "unet_table"]

RESIDUAL = (
    ("in_layers.0", "norm1"), ("in_layers.2", "conv1"), ("emb_layers.1", "time_emb_proj"), ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
)  # fmt: skip
AROUND = ("norm", "proj_in", "proj_out")
INSIDE = ("norm1", "norm2", "norm3", "attn1.to_out.0", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2")
UNBIASED = tuple(f"{attention}.to_{letter}" for attention in ("attn1", "attn2") for letter in "qkv")


def unet_table(unet_shape: UNetShape) -> Table:
    """Every tensor of a U-Net: 686 for SD 1.5 and 2.1, 1680 for SDXL.

    Theirs are without the prefix `model.diffusion_model.` of a whole checkpoint.
    """
    return Table((*encoder_entries(unet_shape), *decoder_entries(unet_shape)))


def decoder_table(unet_shape: UNetShape) -> Table:
    """Every tensor of a U-Net's decoder and output layers, named as in `unet_table`."""
    return Table(tuple(decoder_entries(unet_shape)))


def skip_count(unet_shape: UNetShape) -> int:
    """Skip connections: one of the input convolution, one of each block, one of each downsampling; 12 for SD 1.5."""
    levels = len(unet_shape.channels)
    return 1 + levels * unet_shape.blocks + levels - 1


def encoder_entries(unet_shape: UNetShape) -> Iterator[Entry]:
    """Time embedding, encoder and middle block: what a ControlNet copies."""
    yield from layer("time_embed.0", "time_embedding.linear_1")
    yield from layer("time_embed.2", "time_embedding.linear_2")
    if unet_shape.pooled is not None:
        yield from layer("label_emb.0.0", "add_embedding.linear_1")
        yield from layer("label_emb.0.2", "add_embedding.linear_2")
    yield from layer("input_blocks.0.0", "conv_in")
    index, before = 1, unet_shape.channels[0]
    for level, (width, depth) in enumerate(zip(unet_shape.channels, unet_shape.depths, strict=True)):
        here = f"down_blocks.{level}"
        for block in range(unet_shape.blocks):
            yield from residual(f"input_blocks.{index}.0", f"{here}.resnets.{block}", before != width)
            yield from attention(f"input_blocks.{index}.1", f"{here}.attentions.{block}", depth)
            index, before = index + 1, width
        if level < len(unet_shape.channels) - 1:
            yield from layer(f"input_blocks.{index}.0.op", f"{here}.downsamplers.0.conv")
            index += 1
    yield from residual("middle_block.0", "mid_block.resnets.0", False)
    if unet_shape.middle_depth:  # without attention there is one residual block, as in SDXL's "small" ControlNets
        yield from attention("middle_block.1", "mid_block.attentions.0", unet_shape.middle_depth)
        yield from residual("middle_block.2", "mid_block.resnets.1", False)


def decoder_entries(unet_shape: UNetShape) -> Iterator[Entry]:
    """Decoder and output: each level takes one skip connection more than it has blocks in the encoder."""
    index, before = 0, unet_shape.channels[-1]
    for turn, level in enumerate(reversed(range(len(unet_shape.channels)))):
        width, depth, shallower = unet_shape.channels[level], unet_shape.depths[level], unet_shape.channels[max(level - 1, 0)]
        for block in range(unet_shape.blocks + 1):
            theirs, here = f"output_blocks.{index}", f"up_blocks.{turn}"
            skip = width if block < unet_shape.blocks else shallower
            yield from residual(f"{theirs}.0", f"{here}.resnets.{block}", before + skip != width)
            yield from attention(f"{theirs}.1", f"{here}.attentions.{block}", depth)
            index, before = index + 1, width
            if block == unet_shape.blocks and level > 0:
                yield from layer(f"{theirs}.{2 if depth else 1}.conv", f"{here}.upsamplers.0.conv")
    yield from layer("out.0", "conv_norm_out")
    yield from layer("out.2", "conv_out")


def residual(theirs: str, ours: str, shortcut: bool) -> Iterator[Entry]:
    """A residual block; it has a shortcut where the number of channels changes."""
    for there, here in RESIDUAL:
        yield from layer(f"{theirs}.{there}", f"{ours}.{here}")
    if shortcut:
        yield from layer(f"{theirs}.skip_connection", f"{ours}.conv_shortcut")


def attention(theirs: str, ours: str, depth: int) -> Iterator[Entry]:
    """`depth` transformer layers between two projections, or nothing; inside, both sides use the same names."""
    if not depth:
        return
    for name in AROUND:
        yield from layer(f"{theirs}.{name}", f"{ours}.{name}")
    for k in range(depth):
        for name in INSIDE:
            yield from layer(f"{theirs}.transformer_blocks.{k}.{name}", f"{ours}.transformer_blocks.{k}.{name}")
        for name in UNBIASED:
            yield from layer(f"{theirs}.transformer_blocks.{k}.{name}", f"{ours}.transformer_blocks.{k}.{name}", bias=False)
