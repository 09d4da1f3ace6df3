"""The transformers of Stable Diffusion's U-Net as plans: queries, keys and values at once, those of the text once a picture."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from diffusers.models.attention import BasicTransformerBlock, FeedForward
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.control.zero_convolution import ZeroConvolution
from zeroconv.runtime.attention import attend
from zeroconv.runtime.blocks import StepInputs, to_batch
from zeroconv.runtime.layers import Layer, PackedGate, PackedLinear, UnknownModuleError, is_plain, pack, pack_together
from zeroconv.runtime.normalization import Normalization
from zeroconv.runtime.weights import memory_of

__all__ = ["Transformer", "as_linear"]

HIDDEN = 16 << 20
"""Bytes between both layers of a feed-forward layer: what is larger is new memory each time, which comes slowly."""


class SelfAttention:
    """Queries, keys and values of one input by one matrix.

    Args:
        attention: diffusers' `Attention`.

    Raises:
        UnknownModuleError: for another form or processor.
    """

    def __init__(self, attention: nn.Module) -> None:
        self.heads, self.scale = check_attention(attention)
        module: Any = attention
        self.merged = pack_together([module.to_q, module.to_k, module.to_v])
        self.separate = None if self.merged else [pack(one) for one in (module.to_q, module.to_k, module.to_v)]
        self.out = pack(module.to_out[0])

    def __call__(self, x: Tensor) -> Tensor:
        """Tokens (B, S, C) from (B, S, C)."""
        batch, count, _ = x.shape
        if self.merged is not None:
            q, k, v = self.merged(x).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            assert self.separate is not None
            q, k, v = (layer(x).view(batch, count, self.heads, -1).transpose(1, 2) for layer in self.separate)
        return self.out(attend(q, k, v, self.scale).transpose(1, 2).reshape(batch, count, -1))


class CrossAttention:
    """Attention to the text, whose keys and values are computed once for as long as it is the same.

    Args:
        attention: diffusers' `Attention`.

    Raises:
        UnknownModuleError: for another form or processor.
    """

    def __init__(self, attention: nn.Module) -> None:
        self.heads, self.scale = check_attention(attention)
        module: Any = attention
        self.queries, self.out = pack(module.to_q), pack(module.to_out[0])
        self.keys, self.values = module.to_k, module.to_v
        self.seen: tuple[Tensor, tuple[object, ...], Tensor, Tensor] | None = None

    def states_of(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, N, d) of text states (B, N, D)."""
        memory = memory_of(text)
        if self.seen is None or self.seen[1] != memory:
            batch, count, _ = text.shape
            made = (layer(text).view(batch, count, self.heads, -1).transpose(1, 2) for layer in (self.keys, self.values))
            k, v = (one.contiguous() for one in made)
            self.seen = (text, memory, k, v)  # with the text: its memory is nobody else's as long as it is kept
        return self.seen[2], self.seen[3]

    def project(self, x: Tensor) -> Tensor:
        """Queries, before they are divided among the heads, (B, S, C)."""
        return self.queries(x)

    def __call__(self, queries: Tensor, text: Tensor) -> Tensor:
        """Tokens (B, S, C) from queries (B, S, C)."""
        batch, count, _ = queries.shape
        k, v = self.states_of(text)
        q = queries.view(batch, count, self.heads, -1).transpose(1, 2)
        return self.out(attend(q, k, v, self.scale).transpose(1, 2).reshape(batch, count, -1))


def check_attention(attention: nn.Module) -> tuple[int, float]:
    """Number of heads and scale of an attention layer that a plan can compute.

    Raises:
        UnknownModuleError: for another one.
    """
    if not isinstance(attention, Attention) or not is_plain(attention, Attention):
        raise UnknownModuleError(type(attention).__name__)
    extras = ("group_norm", "spatial_norm", "norm_q", "norm_k", "norm_cross", "add_k_proj", "to_add_out")
    if any(getattr(attention, name, None) is not None for name in extras) or attention.residual_connection:
        raise UnknownModuleError("Attention")
    if attention.rescale_output_factor != 1 or type(attention.processor) not in (AttnProcessor, AttnProcessor2_0):
        raise UnknownModuleError(type(attention.processor).__name__)
    if attention.upcast_attention and getattr(attention.to_q, "layer", attention.to_q).weight.dtype != torch.float32:
        raise UnknownModuleError("Attention in another type than its weights'")
    return attention.heads, float(attention.scale)


class TransformerBlock:
    """Self-attention, attention to the text, and a gated feed-forward layer, each on normalized tokens.

    Args:
        block: diffusers' `BasicTransformerBlock`.

    Raises:
        UnknownModuleError: for another form.
    """

    def __init__(self, block: nn.Module) -> None:
        if not isinstance(block, BasicTransformerBlock) or not is_plain(block, BasicTransformerBlock):
            raise UnknownModuleError(type(block).__name__)
        if block.norm_type != "layer_norm" or block.only_cross_attention or block.pos_embed is not None or block.attn2 is None:
            raise UnknownModuleError("BasicTransformerBlock")
        self.norms = [plan_layer_norm(cast(Any, norm)) for norm in (block.norm1, block.norm2, block.norm3)]
        self.self_attention, self.cross_attention = SelfAttention(block.attn1), CrossAttention(block.attn2)
        self.feed_forward = plan_feed_forward(block.ff)

    def __call__(self, z: Tensor, text: Tensor) -> Tensor:
        """Tokens (B, S, C) from (B or B / 2, S, C)."""
        z = z + self.self_attention(self.norms[0](z))
        queries = self.cross_attention.project(self.norms[1](z))
        if len(z) != len(text):  # the guidance halves differ from here on
            z, queries = to_batch(z, len(text)), to_batch(queries, len(text))
        z = z + self.cross_attention(queries, text)
        return z.add_(self.feed_forward(self.norms[2](z)))


def plan_layer_norm(norm: nn.Module) -> Callable[[Tensor], Tensor]:
    """A layer normalization.

    Raises:
        UnknownModuleError: for another one.
    """
    if not isinstance(norm, nn.LayerNorm):
        raise UnknownModuleError(type(norm).__name__)
    return lambda x: functional.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def plan_feed_forward(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """The gated feed-forward layer: (a · gelu(b)) with a, b from one matrix, and a second matrix.

    Raises:
        UnknownModuleError: for another form.
    """
    if not isinstance(layer, FeedForward) or type(layer.net[0]).__name__ != "GEGLU":
        raise UnknownModuleError(type(layer).__name__)
    module: Any = layer
    widen, narrow = pack(module.net[0].proj), pack(module.net[2])
    width = 2 * int(module.net[2].in_features)
    if isinstance(widen, PackedLinear):
        return partial(feed, PackedGate(module.net[0].proj), narrow, width // 2)

    def gated(x: Tensor) -> Tensor:
        a, b = widen(x).chunk(2, -1)
        return functional.gelu(b).mul_(a)

    return partial(feed, gated, narrow, width)


def feed(widen: Layer, narrow: Layer, width: int, x: Tensor) -> Tensor:
    """Two layers on tokens (B, S, C), on a CPU by so many tokens at a time that what is between them finds memory in use.

    Args:
        widen: the first layer.
        narrow: the second one.
        width: numbers for each token between them.
        x: tokens, one after the other in memory.
    """
    tokens = x.view(-1, x.shape[-1])
    blocks = math.ceil(len(tokens) * width * x.itemsize / HIDDEN)
    if blocks == 1 or x.device.type != "cpu":
        return narrow(widen(x))
    found = torch.empty_like(tokens)
    for block, out in zip(tokens.tensor_split(blocks), found.tensor_split(blocks), strict=True):
        out.copy_(narrow(widen(block)))
    return found.view(x.shape)


class Transformer:
    """The transformer of one level: pixels as tokens, through its blocks, and back onto the picture.

    Args:
        model: diffusers' `Transformer2DModel`.

    Raises:
        UnknownModuleError: for another form.
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, Transformer2DModel) or not is_plain(model, Transformer2DModel):
            raise UnknownModuleError(type(model).__name__)
        module: Any = model
        if not module.is_input_continuous:
            raise UnknownModuleError("Transformer2DModel")
        self.norm = Normalization(module.norm, silu=False)
        self.proj_in, self.proj_out = as_linear(module.proj_in), as_linear(module.proj_out)
        self.blocks = [TransformerBlock(block) for block in module.transformer_blocks]

    def __call__(self, x: Tensor, given: StepInputs) -> Tensor:
        """Features (B, C, h, w) from (B or B / 2, C, h, w)."""
        _, channels, height, width = x.shape
        z = self.norm(x).permute(0, 2, 3, 1).reshape(len(x), height * width, channels)
        z = self.proj_in(z)
        for block in self.blocks:
            z = block(z, given.text)
        z = self.proj_out(z).view(len(z), height, width, channels).permute(0, 3, 1, 2)
        return z + to_batch(x, len(z))


def as_linear(layer: nn.Module) -> Any:
    """A projection of tokens; a 1x1 convolution is the same as a linear layer.

    Raises:
        UnknownModuleError: for anything else.
    """
    is_convolution = is_plain(layer, nn.Conv2d) or is_plain(layer, ZeroConvolution)
    if isinstance(layer, nn.Conv2d) and is_convolution and layer.kernel_size == (1, 1):
        linear = nn.Linear(layer.in_channels, layer.out_channels, bias=layer.bias is not None, device="meta")
        linear.weight = nn.Parameter(layer.weight.detach().flatten(1), False)
        if layer.bias is not None:
            linear.bias = nn.Parameter(layer.bias.detach(), False)
        return pack(linear)
    if isinstance(layer, nn.Linear) and is_plain(layer, nn.Linear):
        return pack(layer)
    raise UnknownModuleError(type(layer).__name__)
