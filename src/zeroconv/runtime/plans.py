"""Plans of a locked U-Net and of a ControlNet, with the results of the ordinary modules."""

from typing import Any

import torch
from diffusers.models.unets.unet_2d_blocks import CrossAttnUpBlock2D, UpBlock2D
from torch import Tensor, nn

from zeroconv.control import ControlNet
from zeroconv.control.residuals import Residuals
from zeroconv.runtime.blocks import ResidualBlock, StepInputs, plan_upsample
from zeroconv.runtime.encoder import EncoderPlan, Shifts, Step, halve, plan_residual, plan_transformer
from zeroconv.runtime.layers import Layer, UnknownModuleError, is_plain, pack
from zeroconv.runtime.normalization import Normalization
from zeroconv.runtime.transformer import as_linear
from zeroconv.stable_diffusion.unet import AddedConditions, Encoded

__all__ = ["ControlNetPlan", "DecoderPlan", "UNetPlan"]


class DecoderPlan:
    """The decoder of a locked U-Net: `decode` as in `stable_diffusion.unet`.

    Args:
        unet: a diffusers `UNet2DConditionModel`, or an unlocked copy of its decoder.
        unknown: what runs as it is, because no plan computes it, is added here.
    """

    def __init__(self, unet: Any, unknown: set[str]) -> None:
        self.unet, self.unknown = unet, unknown
        self.levels = [self.plan_level(block) for block in unet.up_blocks]
        steps: list[Any] = [step for level in self.levels if isinstance(level, tuple) for step, _ in level[0]]
        self.shifts = Shifts([step for step in steps if isinstance(step, ResidualBlock)])
        self.norm_out = (
            None if unet.conv_norm_out is None else Normalization(unet.conv_norm_out, isinstance(unet.conv_act, nn.SiLU))
        )
        self.conv_out = pack(unet.conv_out)

    def plan_level(self, block: nn.Module) -> tuple[list[tuple[Step, Step | None]], Any] | nn.Module:
        """Residual blocks, each with its transformer, and the way to the next level; or the block as it is."""
        level: Any = block
        if not (is_plain(block, CrossAttnUpBlock2D) or is_plain(block, UpBlock2D)):
            self.unknown.add(type(block).__name__)
            return block
        try:
            up = None if level.upsamplers is None else plan_upsample(level.upsamplers[0])
        except UnknownModuleError as found:
            self.unknown.add(str(found))
            return block
        attentions = list(level.attentions) if is_plain(block, CrossAttnUpBlock2D) else [None] * len(level.resnets)
        steps = [
            (plan_residual(resnet, self.unknown), None if model is None else plan_transformer(model, self.unknown))
            for resnet, model in zip(level.resnets, attentions, strict=True)
        ]
        return steps, up

    def decode(self, encoded: Encoded, text: Tensor) -> Tensor:
        """The decoder: the prediction, (B, C, h, w); see `stable_diffusion.unet.decode`."""
        given = StepInputs(encoded.embedding, self.shifts(encoded.embedding), text)
        h, skips = encoded.middle, list(encoded.skips)
        for i, (block, level) in enumerate(zip(self.unet.up_blocks, self.levels, strict=True)):
            taken = [skips.pop() for _ in block.resnets]
            last = i == len(self.levels) - 1
            size = None if last else (skips[-1].shape[-2], skips[-1].shape[-1])
            if not isinstance(level, tuple):
                states = {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
                embedding = given.embedding.expand(len(text), -1)
                h = block(
                    hidden_states=h, temb=embedding, res_hidden_states_tuple=tuple(taken[::-1]), upsample_size=size, **states
                )
                continue
            steps, up = level
            for (residual, transformer), skip in zip(steps, taken, strict=True):
                h = residual(torch.cat([h, skip], dim=1), given)
                h = h if transformer is None else transformer(h, given)
            if up is not None:
                h = up(h, size)
        return self.conv_out(h if self.norm_out is None else self.norm_out(h))


class UNetPlan(DecoderPlan):
    """A locked U-Net: `encode` and `decode` as in `stable_diffusion.unet`.

    Args:
        unet: a diffusers `UNet2DConditionModel`.
    """

    def __init__(self, unet: Any) -> None:
        self.encoder = EncoderPlan(unet)
        super().__init__(unet, self.encoder.unknown)

    def encode(self, z_t: Tensor, t: Tensor | float, text: Tensor, added_conditions: AddedConditions | None = None) -> Encoded:
        """The encoder and the middle block; see `stable_diffusion.unet.encode`. The embedding may have one row."""
        embedding = self.encoder.embedding(z_t, t, added_conditions)
        given = StepInputs(embedding, self.encoder.shifts(embedding), text)
        z_t = halve(z_t) if len(embedding) == 1 and len(text) == len(z_t) else z_t
        skips, middle = self.encoder.run(self.encoder.conv_in(z_t), given)
        return Encoded(skips, middle, embedding)

    def embed(self, z_t: Tensor, t: Tensor | float, added_conditions: AddedConditions | None = None) -> Tensor:
        """The time embedding; see `stable_diffusion.unet.embed`. It may have one row."""
        return self.encoder.embedding(z_t, t, added_conditions)


class ControlNetPlan:
    """A ControlNet; called as one with the features of its condition.

    Args:
        network: the ControlNet.
    """

    def __init__(self, network: ControlNet) -> None:
        self.network, self.encoder = network, EncoderPlan(network)
        self.unknown = self.encoder.unknown
        self.connections = [plan_connection(one) for one in (*network.controlnet_down_blocks, network.controlnet_mid_block)]

    def __call__(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        *,
        features: Tensor,
        control_embedding: Tensor | None = None,
        added_conditions: AddedConditions | None = None,
    ) -> Residuals:
        """The residuals of one step; arguments as of `ControlNet.forward`."""
        network, embedding = self.network, self.encoder.embedding(z_t, t, added_conditions)
        if network.config.union is not None:
            embedding = embedding + (network.embed_condition() if control_embedding is None else control_embedding)
        given = StepInputs(embedding, self.encoder.shifts(embedding), text)
        if len(embedding) == 1 and len(text) == len(z_t):
            half, seen = halve(z_t), halve(features)
            if len(half) < len(z_t) and len(seen) in (1, len(half)):
                z_t, features = half, seen
        skips, middle = self.encoder.run(self.encoder.conv_in(z_t) + features, given)
        *made, last = (connect(skip) for connect, skip in zip(self.connections, (*skips, middle), strict=True))
        residuals = Residuals.of_unet(made, last)
        return residuals.pool() if network.config.global_pool_conditions else residuals


def plan_connection(layer: nn.Module) -> Layer:
    """A 1x1 convolution of pixels that lie channel by channel: a linear layer; another one as it is."""
    try:
        connect = as_linear(layer)
    except UnknownModuleError:
        return layer
    return lambda x: connect(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
