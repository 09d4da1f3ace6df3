"""The blocks of Stable Diffusion's U-Net as nodes: residual blocks, transformers, changes of resolution."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock, FeedForward
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from zeroconv.control.low_rank import LoRALayer
from zeroconv.control.zero_convolution import ZeroConvolution
from zeroconv.runtime.layers import UnknownModuleError, is_plain
from zeroconv.runtime.openvino.graph import Graph, Node
from zeroconv.runtime.transformer import check_attention

__all__ = ["Blocks", "TextLayer", "layer_of"]


@dataclass(frozen=True)
class TextLayer:
    """Keys and values of one attention to the text: what no step changes, computed outside the graph once a picture.

    Attributes:
        keys: linear layer.
        values: linear layer.
        heads: how many.
        scale: of the scores; the keys are given multiplied by it.
    """

    keys: nn.Module
    values: nn.Module
    heads: int
    scale: float

    @torch.no_grad()
    def states(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (B, heads, d, N) and values (B, heads, N, d), float32, of text states (B, N, D)."""
        batch, count, _ = text.shape
        keys = (self.keys(text).float() * self.scale).view(batch, count, self.heads, -1)
        values = self.values(text).float().view(batch, count, self.heads, -1)
        return keys.permute(0, 2, 3, 1).contiguous(), values.permute(0, 2, 1, 3).contiguous()


def layer_of(module: nn.Module, *kinds: type[nn.Module]) -> Any:
    """An ordinary layer of one of some classes: the module itself, or a low-rank one with its update added.

    Raises:
        UnknownModuleError: for anything else, or where something is hung onto it.
    """
    if isinstance(module, LoRALayer) and is_plain(module, LoRALayer):
        module = module.merge() if next(module.parameters(), None) is not None else module.layer
    if not any(is_plain(module, kind) for kind in kinds):
        raise UnknownModuleError(type(module).__name__)
    return module


class Blocks:
    """A network under construction.

    Args:
        graph: to add to.
        rows: of the batch, B.
        tokens: of the text, N.

    Attributes:
        text_layers: whose keys and values are the inputs "k0", "v0", "k1", …
    """

    def __init__(self, graph: Graph, rows: int, tokens: int) -> None:
        self.graph, self.rows, self.tokens = graph, rows, tokens
        self.text_layers: list[TextLayer] = []
        self.shifts: dict[int, Node] = {}

    def whole(self, x: Node) -> Node:
        """Features of the whole batch: those of one guidance half twice, where they were computed once."""
        return x if x.shape[0] == self.rows else self.graph.concat([x, x], 0)

    def convolution(self, layer: nn.Module, x: Node, bias: bool = True) -> Node:
        """A convolution; see `Graph.convolution`."""
        return self.graph.convolution(layer_of(layer, nn.Conv2d, ZeroConvolution), x, bias)

    def linear(self, layer: nn.Module, x: Node) -> Node:
        """A linear layer, or a 1x1 convolution on tokens, which is the same."""
        found = layer_of(layer, nn.Linear, nn.Conv2d)
        if isinstance(found, nn.Conv2d) and (found.kernel_size != (1, 1) or found.stride != (1, 1) or found.groups != 1):
            raise UnknownModuleError("Conv2d")
        return self.graph.linear(found.weight.flatten(1), found.bias, x)

    def add_shifts(self, blocks: Sequence[Any], embedding: Node) -> None:
        """What the time embedding (1 or B, E) adds in each residual block, the bias of its first convolution with it."""
        active = self.graph.silu(embedding)
        for block in blocks:
            self.check_residual(block)
            projection, first = layer_of(block.time_emb_proj, nn.Linear), layer_of(block.conv1, nn.Conv2d)
            bias = projection.bias if first.bias is None else projection.bias + first.bias
            made = self.graph.linear(projection.weight, bias, active)
            self.shifts[id(block)] = self.graph.reshape(made, [made.shape[0], made.shape[1], 1, 1])

    @staticmethod
    def check_residual(block: Any) -> None:
        """Refuse a residual block of another form than Stable Diffusion's."""
        if not is_plain(block, ResnetBlock2D):
            raise UnknownModuleError(type(block).__name__)
        plain = block.time_embedding_norm == "default" and not block.skip_time_act and block.output_scale_factor == 1
        known = block.upsample is None and block.downsample is None and block.time_emb_proj is not None
        if not plain or not known or not isinstance(block.nonlinearity, nn.SiLU):
            raise UnknownModuleError("ResnetBlock2D")

    def residual(self, block: Any, x: Node) -> Node:
        """Two normalized convolutions around the shift by the time embedding, and a shortcut: (B, C', h, w)."""
        graph, normalize = self.graph, self.group_norm
        h = self.convolution(block.conv1, graph.silu(normalize(block.norm1, x)), bias=False)
        h = graph.opset.add(h, self.shifts[id(block)])
        h = self.convolution(block.conv2, graph.silu(normalize(block.norm2, h)))
        return graph.opset.add(h, x if block.conv_shortcut is None else self.convolution(block.conv_shortcut, x))

    def group_norm(self, layer: nn.Module, x: Node) -> Node:
        """Group normalization."""
        return self.graph.group_norm(layer_of(layer, nn.GroupNorm), x)

    def attention(self, layer: Any, x: Node, text: bool) -> Node:
        """Attention of tokens (B, S, C) to themselves or to the text."""
        heads, scale = check_attention(layer)
        graph, count = self.graph, x.shape[1]

        def divide(y: Node, order: Sequence[int]) -> Node:
            return graph.transpose(graph.reshape(y, [y.shape[0], count, heads, y.shape[2] // heads]), order)

        q = self.linear(layer.to_q, x)
        if text:
            found = TextLayer(layer.to_k, layer.to_v, heads, scale)
            width, index = q.shape[2] // heads, len(self.text_layers)
            self.text_layers.append(found)
            q = self.whole(q)
            k = graph.input(f"k{index}", (self.rows, heads, width, self.tokens))
            v = graph.input(f"v{index}", (self.rows, heads, self.tokens, width))
        else:
            scaled = graph.opset.multiply(self.linear(layer.to_k, x), graph.constant(torch.tensor(scale)))
            k, v = divide(scaled, [0, 2, 3, 1]), divide(self.linear(layer.to_v, x), [0, 2, 1, 3])
        weights = graph.opset.softmax(graph.opset.matmul(divide(q, [0, 2, 1, 3]), k, False, False), 3)
        mixed = graph.transpose(graph.opset.matmul(weights, v, False, False), [0, 2, 1, 3])
        return self.linear(layer.to_out[0], graph.reshape(mixed, [mixed.shape[0], count, -1]))

    def transformer_block(self, block: Any, z: Node) -> Node:
        """Self-attention, attention to the text, and a gated feed-forward layer, each on normalized tokens (B, S, C)."""
        if not is_plain(block, BasicTransformerBlock):
            raise UnknownModuleError(type(block).__name__)
        if block.norm_type != "layer_norm" or block.only_cross_attention or block.pos_embed is not None or block.attn2 is None:
            raise UnknownModuleError("BasicTransformerBlock")
        add = self.graph.opset.add
        norms = [layer_of(norm, nn.LayerNorm) for norm in (block.norm1, block.norm2, block.norm3)]
        z = add(z, self.attention(block.attn1, self.graph.layer_norm(norms[0], z), text=False))
        attended = self.attention(block.attn2, self.graph.layer_norm(norms[1], z), text=True)
        z = add(self.whole(z), attended)  # the guidance halves differ from here on
        return add(z, self.feed_forward(block.ff, self.graph.layer_norm(norms[2], z)))

    def feed_forward(self, layer: nn.Module, x: Node) -> Node:
        """The gated layer: a · gelu(b) with a, b from one matrix, and a second matrix."""
        if not isinstance(layer, FeedForward) or type(layer.net[0]).__name__ != "GEGLU":
            raise UnknownModuleError(type(layer).__name__)
        module: Any = layer
        wide = self.linear(module.net[0].proj, x)
        a, b = self.graph.split(wide, 2, [wide.shape[2] // 2] * 2)
        return self.linear(module.net[2], self.graph.opset.multiply(a, self.graph.opset.gelu(b, "erf")))

    def transformer(self, model: Any, x: Node) -> Node:
        """Pixels as tokens through transformer blocks, and back onto the picture: (B, C, h, w)."""
        if not is_plain(model, Transformer2DModel) or not model.is_input_continuous:
            raise UnknownModuleError(type(model).__name__)
        graph, (rows, _, height, width) = self.graph, x.shape
        z = graph.transpose(self.group_norm(model.norm, x), [0, 2, 3, 1])
        z = self.linear(model.proj_in, graph.reshape(z, [rows, height * width, -1]))
        for block in model.transformer_blocks:
            z = self.transformer_block(block, z)
        z = graph.reshape(self.linear(model.proj_out, z), [self.rows, height, width, -1])
        return graph.opset.add(graph.transpose(z, [0, 3, 1, 2]), self.whole(x))

    def downsample(self, module: Any, x: Node) -> Node:
        """A convolution of stride 2."""
        if not is_plain(module, Downsample2D) or not module.use_conv or module.padding == 0 or module.norm is not None:
            raise UnknownModuleError(type(module).__name__)
        return self.convolution(module.conv, x)

    def upsample(self, module: Any, x: Node, size: tuple[int, int]) -> Node:
        """Every pixel its nearest's, and a convolution."""
        known = is_plain(module, Upsample2D) and module.use_conv and not module.use_conv_transpose and module.norm is None
        if not known:
            raise UnknownModuleError(type(module).__name__)
        return self.convolution(module.conv, self.graph.resize(x, size))

    def level(self, level: Any, x: Node) -> Iterator[Node]:
        """The features after each residual block of a level, and its transformer where it has one."""
        attentions = getattr(level, "attentions", None) or [None] * len(level.resnets)
        for block, model in zip(level.resnets, attentions, strict=True):
            x = self.residual(block, x)
            x = x if model is None else self.transformer(model, x)
            yield x
