"""The autoencoder of Stable Diffusion as plans: from latents to pictures, and from pictures to latents."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor, AttnProcessor2_0
from diffusers.models.autoencoders.vae import Decoder, Encoder
from diffusers.models.downsampling import Downsample2D
from diffusers.models.unets.unet_2d_blocks import DownEncoderBlock2D, UNetMidBlock2D, UpDecoderBlock2D
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.blocks import ResidualBlock, StepInputs, plan_upsample
from zeroconv.runtime.layers import UnknownModuleError, is_plain, pack
from zeroconv.runtime.normalization import Normalization

__all__ = ["AutoencoderPlan", "PictureDecoderPlan", "PictureEncoderPlan"]

Part = Callable[[Tensor], Tensor]
Prepare = Callable[[nn.Module], Any]
"""What makes a layer of a plan from one of the network."""


class ResidualPart:
    """A residual block without a time embedding.

    Args:
        module: diffusers' `ResnetBlock2D`.
        prepare: its layers.

    Raises:
        UnknownModuleError: for another module or form.
    """

    def __init__(self, module: nn.Module, prepare: Prepare) -> None:
        self.block = ResidualBlock(module, prepare)
        if self.block.projection is not None:
            raise UnknownModuleError("ResnetBlock2D with a time embedding")

    def __call__(self, x: Tensor) -> Tensor:
        """Features (B, C', h, w) from (B, C, h, w)."""
        nothing = x.new_empty(0)
        return self.block(x, StepInputs(nothing, {}, nothing))


class PixelAttention:
    """Self-attention over the pixels of the smallest features, added to them.

    Args:
        attention: diffusers' `Attention`.
        prepare: its layers.

    Raises:
        UnknownModuleError: for another form or processor.
    """

    def __init__(self, attention: nn.Module, prepare: Prepare) -> None:
        if not isinstance(attention, Attention) or not is_plain(attention, Attention):
            raise UnknownModuleError(type(attention).__name__)
        module: Any = attention
        extras = ("spatial_norm", "norm_q", "norm_k", "norm_cross", "add_k_proj", "to_add_out")
        if any(getattr(module, name, None) is not None for name in extras) or not module.residual_connection:
            raise UnknownModuleError("Attention")
        if module.rescale_output_factor != 1 or type(module.processor) not in (AttnProcessor, AttnProcessor2_0):
            raise UnknownModuleError(type(module.processor).__name__)
        self.norm, self.heads, self.scale = Normalization(module.group_norm, silu=False), module.heads, float(module.scale)
        self.projections = [prepare(one) for one in (module.to_q, module.to_k, module.to_v)]
        self.out = prepare(module.to_out[0])

    def __call__(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) from (B, C, h, w)."""
        batch, channels, height, width = x.shape
        tokens = self.norm(x).permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        q, k, v = (layer(tokens).view(batch, height * width, self.heads, -1).transpose(1, 2) for layer in self.projections)
        seen = functional.scaled_dot_product_attention(q, k, v, scale=self.scale).transpose(1, 2).reshape(tokens.shape)
        return self.out(seen).view(batch, height, width, channels).permute(0, 3, 1, 2) + x


def plan_doubling(module: nn.Module, prepare: Prepare) -> Part:
    """Every pixel four times, and a convolution.

    Raises:
        UnknownModuleError: for another form.
    """
    up = plan_upsample(module, prepare)
    return lambda x: up(x, None)


def plan_halving(module: nn.Module, prepare: Prepare) -> Part:
    """A convolution of stride 2 over features with a row and a column of zeros below and at the right.

    Raises:
        UnknownModuleError: for another form.
    """
    layer: Any = module
    if not is_plain(module, Downsample2D) or not layer.use_conv or layer.padding != 0 or layer.norm is not None:
        raise UnknownModuleError(type(module).__name__)
    convolve = prepare(layer.conv)
    return lambda x: convolve(functional.pad(x, (0, 1, 0, 1)))


class AutoencoderPlan:
    """One direction of an autoencoder.

    Features are smallest in the middle block, which sees them all, and largest at the picture, where every number looks
    around itself only: parts are kept in two chains, so that those of large features can be computed tile by tile.

    Args:
        network: diffusers' `Encoder` or `Decoder` of an `AutoencoderKL`.
        is_packed: whether weights are packed, in a copy of their own; otherwise layers are called as they are.

    Attributes:
        small: parts of the smallest features, in their order.
        large: parts up to the picture's size.
        unknown: what runs as it is, because no plan computes it.
    """

    def __init__(self, network: nn.Module, is_packed: bool) -> None:
        self.prepare: Prepare = pack if is_packed else lambda layer: layer
        self.unknown, module = set[str](), network
        self.small: list[Part]
        self.large: list[Part]
        if isinstance(module, Decoder) and is_plain(module, Decoder):
            self.small = [self.prepare(module.conv_in), *self.plan_middle(module.mid_block)]
            self.large = [part for block in module.up_blocks for part in self.plan_level(block)]
            self.large += [*self.plan_norm(module), self.prepare(module.conv_out)]
        elif isinstance(module, Encoder) and is_plain(module, Encoder):
            self.large = [self.prepare(module.conv_in)]
            self.large += [part for block in module.down_blocks for part in self.plan_level(block)]
            self.small = [*self.plan_middle(module.mid_block), *self.plan_norm(module), self.prepare(module.conv_out)]
        else:
            self.unknown.add(type(network).__name__)
            self.small, self.large = [], [network]

    def plan_part(self, make: Callable[[nn.Module, Prepare], Part], module: nn.Module) -> Part:
        """A part by its plan; one that no plan computes runs as it is."""
        try:
            return make(module, self.prepare)
        except UnknownModuleError as found:
            self.unknown.add(str(found))
        return partial(module, temb=None) if make is ResidualPart else module

    def plan_middle(self, block: Any) -> list[Part]:
        """Residual block, attention, residual block; or the block as it is."""
        if not is_plain(block, UNetMidBlock2D):
            self.unknown.add(type(block).__name__)
            return [block]
        parts = [self.plan_part(ResidualPart, block.resnets[0])]
        for attention, resnet in zip(block.attentions, list(block.resnets)[1:], strict=True):
            parts += [] if attention is None else [self.plan_part(PixelAttention, attention)]
            parts.append(self.plan_part(ResidualPart, resnet))
        return parts

    def plan_level(self, block: Any) -> list[Part]:
        """Residual blocks, and the way to the next level; or the block as it is."""
        if is_plain(block, UpDecoderBlock2D):
            scalers, make = block.upsamplers, plan_doubling
        elif is_plain(block, DownEncoderBlock2D):
            scalers, make = block.downsamplers, plan_halving
        else:
            self.unknown.add(type(block).__name__)
            return [block]
        parts = [self.plan_part(ResidualPart, resnet) for resnet in block.resnets]
        return parts + [self.plan_part(make, scaler) for scaler in scalers or ()]

    def plan_norm(self, network: Any) -> list[Part]:
        """The last normalization with its activation."""
        try:
            if isinstance(network.conv_act, nn.SiLU):
                return [Normalization(network.conv_norm_out)]
            self.unknown.add(type(network.conv_act).__name__)
        except UnknownModuleError as found:
            self.unknown.add(str(found))
        return [network.conv_norm_out, network.conv_act]

    def normalizations(self) -> list[Normalization]:
        """Those of the large features."""
        blocks = [part.block for part in self.large if isinstance(part, ResidualPart)]
        own = [part for part in self.large if isinstance(part, Normalization)]
        return [*(norm for block in blocks for norm in (block.norm1, block.norm2)), *own]


def run(parts: list[Part], x: Tensor) -> Tensor:
    """Parts one after the other; what a part was given is let go before the next one begins."""
    for part in parts:
        x = part(x)
    return x


class PictureDecoderPlan(AutoencoderPlan):
    """The way from latents to pictures.

    Args:
        vae: diffusers' `AutoencoderKL`.
        is_packed: see `AutoencoderPlan`.
    """

    def __init__(self, vae: Any, is_packed: bool = True) -> None:
        super().__init__(vae.decoder, is_packed)
        if vae.post_quant_conv is not None:
            self.small.insert(0, self.prepare(vae.post_quant_conv))

    def __call__(self, z: Tensor) -> Tensor:
        """Pictures (B, 3, 8h, 8w), about -1 to 1, of unscaled latents (B, C, h, w)."""
        return run(self.large, run(self.small, z.contiguous(memory_format=torch.channels_last)))


class PictureEncoderPlan(AutoencoderPlan):
    """The way from pictures to latents.

    Args:
        vae: diffusers' `AutoencoderKL`.
        is_packed: see `AutoencoderPlan`.
    """

    def __init__(self, vae: Any, is_packed: bool = True) -> None:
        super().__init__(vae.encoder, is_packed)
        if vae.quant_conv is not None:
            self.small.append(self.prepare(vae.quant_conv))

    def __call__(self, images: Tensor) -> Tensor:
        """Moments of unscaled latents, (B, 2C, h, w), the means first, of pictures (B, 3, 8h, 8w) in [-1, 1]."""
        return run(self.small, run(self.large, images.contiguous(memory_format=torch.channels_last)))
