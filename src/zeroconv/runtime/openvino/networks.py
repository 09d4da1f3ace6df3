"""A U-Net and a ControlNet as OpenVINO graphs (figure 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from diffusers.models.unets.unet_2d_blocks import (
    CrossAttnDownBlock2D,
    CrossAttnUpBlock2D,
    DownBlock2D,
    UNetMidBlock2DCrossAttn,
    UpBlock2D,
)
from torch import nn

from zeroconv.control.lite import LiteDownBlock, LiteMiddle
from zeroconv.runtime.layers import UnknownModuleError, is_plain
from zeroconv.runtime.openvino.blocks import Blocks, TextLayer
from zeroconv.runtime.openvino.graph import Graph, Node
from zeroconv.runtime.openvino.library import library
from zeroconv.runtime.proof import locked

__all__ = ["NetworkGraph", "Shape", "controlnet_graph", "unet_graph"]


@dataclass(frozen=True)
class Shape:
    """What a graph is made for.

    Attributes:
        rows: of the batch, B.
        distinct: rows of latents (and of a control's features) that are given: B, or B / 2 where the guidance halves are equal.
        embeddings: rows of the time embedding, 1 or B.
        height: of the latents.
        width: of the latents.
        tokens: of the text, N.
    """

    rows: int
    distinct: int
    embeddings: int
    height: int
    width: int
    tokens: int


@dataclass(frozen=True)
class NetworkGraph:
    """A network as a graph.

    Attributes:
        model: OpenVINO's.
        text_layers: whose keys and values are its inputs "k0", "v0", "k1", …
        weights: whose memory it shares.
    """

    model: Any
    text_layers: Sequence[TextLayer]
    weights: Sequence[Any]


def unet_graph(unet: Any, shape: Shape, decoder: Any = None) -> NetworkGraph:
    """From latents "z" (distinct, C, h, w), "embedding", keys and values, and "residual0" … to the prediction (B, C, h, w).

    Args:
        unet: a diffusers `UNet2DConditionModel`.
        shape: of everything.
        decoder: an unlocked one, in place of the U-Net's own.

    Raises:
        UnknownModuleError: for a part that has another form than Stable Diffusion's.
    """
    graph, last = Graph(), unet if decoder is None else decoder
    blocks = Blocks(graph, shape.rows, shape.tokens)
    z = graph.input("z", (shape.distinct, unet.conv_in.in_channels, shape.height, shape.width))
    embedding = graph.input("embedding", (shape.embeddings, unet.time_embedding.linear_2.out_features))
    residual_blocks = [block for level in (*unet.down_blocks, unet.mid_block, *last.up_blocks) for block in level.resnets]
    blocks.add_shifts(residual_blocks, embedding)
    skips = encode(blocks, unet, blocks.convolution(unet.conv_in, z))
    *skips, h = [graph.opset.add(skip, graph.input(f"residual{i}", skip.shape)) for i, skip in enumerate(skips)]
    h = decode(blocks, last, skips, h)
    if last.conv_norm_out is not None:
        if not isinstance(last.conv_act, nn.SiLU):
            raise UnknownModuleError(type(last.conv_act).__name__)
        h = graph.silu(blocks.group_norm(last.conv_norm_out, h))
    return finish(blocks, [blocks.convolution(last.conv_out, h)])


def controlnet_graph(network: Any, shape: Shape) -> NetworkGraph:
    """From latents "z", "features" of the condition, "embedding", keys and values to the residuals, the middle's last.

    Args:
        network: a ControlNet.
        shape: of everything.

    Raises:
        UnknownModuleError: for a part that has another form than Stable Diffusion's.
    """
    graph = Graph()
    blocks = Blocks(graph, shape.rows, shape.tokens)
    first, size = locked(network.conv_in), (shape.height, shape.width)
    z = graph.input("z", (shape.distinct, first.in_channels, *size))
    features = graph.input("features", (shape.distinct, first.out_channels, *size))
    if not isinstance(network.mid_block, LiteMiddle):  # the small copy sees no time
        embedding = graph.input("embedding", (shape.embeddings, locked(network.time_embedding.linear_2).out_features))
        levels = (*network.down_blocks, network.mid_block)
        blocks.add_shifts([block for level in levels for block in level.resnets], embedding)
    h = graph.opset.add(blocks.convolution(network.conv_in, z), features)
    connections = (*network.controlnet_down_blocks, network.controlnet_mid_block)
    skips = encode(blocks, network, h)
    return finish(blocks, [blocks.convolution(one, skip) for one, skip in zip(connections, skips, strict=True)])


def encode(blocks: Blocks, network: Any, h: Node) -> list[Node]:
    """Skip connections and the middle, of the whole batch, from the features of the first convolution."""
    silu, skips = blocks.graph.silu, [h]
    for level in network.down_blocks:
        if is_plain(level, LiteDownBlock):
            for layer in (*level.resnets, *(level.downsamplers or ())):
                skips.append(silu(blocks.convolution(layer, skips[-1])))
            continue
        if not is_plain(level, CrossAttnDownBlock2D) and not is_plain(level, DownBlock2D):
            raise UnknownModuleError(type(level).__name__)
        skips += blocks.level(level, skips[-1])
        if level.downsamplers is not None:
            skips.append(blocks.downsample(level.downsamplers[0], skips[-1]))
    middle, h = network.mid_block, skips[-1]
    if is_plain(middle, LiteMiddle):
        h = silu(blocks.convolution(middle.convolution, h))
    elif is_plain(middle, UNetMidBlock2DCrossAttn):
        h = blocks.residual(middle.resnets[0], h)
        for model, block in zip(middle.attentions, middle.resnets[1:], strict=True):
            h = blocks.residual(block, blocks.transformer(model, h))
    else:
        raise UnknownModuleError(type(middle).__name__)
    return [blocks.whole(one) for one in (*skips, h)]


def decode(blocks: Blocks, network: Any, skips: Sequence[Node], h: Node) -> Node:
    """The decoder: features (B, C, h, w) for the last convolution."""
    left = list(skips)
    for level in network.up_blocks:
        if not is_plain(level, CrossAttnUpBlock2D) and not is_plain(level, UpBlock2D):
            raise UnknownModuleError(type(level).__name__)
        attentions = getattr(level, "attentions", None) or [None] * len(level.resnets)
        for block, model in zip(level.resnets, attentions, strict=True):
            h = blocks.residual(block, blocks.graph.concat([h, left.pop()], 1))
            h = h if model is None else blocks.transformer(model, h)
        if level.upsamplers is not None:
            h = blocks.upsample(level.upsamplers[0], h, tuple(left[-1].shape[2:]))
    return h


def finish(blocks: Blocks, results: Sequence[Node]) -> NetworkGraph:
    """The graph, whole."""
    graph = blocks.graph
    return NetworkGraph(library().Model(list(results), graph.inputs, "network"), blocks.text_layers, graph.held)
