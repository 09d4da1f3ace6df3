"""Encoder and middle block as a plan: what a locked U-Net and the copy of a ControlNet have in common."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from diffusers.models.unets.unet_2d_blocks import CrossAttnDownBlock2D, DownBlock2D, UNetMidBlock2DCrossAttn
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.blocks import ResidualBlock, StepInputs, plan_downsample, to_batch
from zeroconv.runtime.layers import Layer, PackedLinear, UnknownModuleError, can_pack, is_plain, pack
from zeroconv.runtime.transformer import Transformer
from zeroconv.stable_diffusion.unet import AddedConditions, embed

__all__ = ["EncoderPlan", "Shifts", "Step", "embed_rows", "halve", "plan_residual", "plan_transformer"]

Step = Callable[[Tensor, StepInputs], Tensor]
MERGED = 16 << 20
"""Time projections of all blocks are computed as one matrix up to this many bytes; for wide networks that gains nothing in
float32."""


def plan_residual(block: nn.Module, unknown: set[str]) -> Step:
    """A residual block; one that no plan computes runs as it is."""
    try:
        return ResidualBlock(block)
    except UnknownModuleError as found:
        unknown.add(str(found))
    return lambda x, given: block(x, given.embedding.expand(len(x), -1))


def plan_transformer(model: nn.Module, unknown: set[str]) -> Step:
    """The transformer of a level; one that no plan computes runs as it is."""
    try:
        return Transformer(model)
    except UnknownModuleError as found:
        unknown.add(str(found))
    return lambda x, given: model(to_batch(x, len(given.text)), encoder_hidden_states=given.text, return_dict=False)[0]


class Shifts:
    """What the time embedding adds in each residual block, for all blocks of a network at a time.

    Args:
        blocks: the residual blocks.
    """

    def __init__(self, blocks: Sequence[ResidualBlock]) -> None:
        timed = [block for block in blocks if block.projection is not None]
        plain = [block for block in timed if is_plain(block.projection, nn.Linear)]
        size = sum(block.projection.weight.numel() * block.projection.weight.element_size() for block in plain)
        is_narrow = all(block.projection.weight.dtype == torch.bfloat16 for block in plain)
        self.merged = plain if size <= MERGED or is_narrow else []
        self.single = [block for block in timed if block not in self.merged]
        if self.merged:
            weight = torch.cat([block.projection.weight.detach() for block in self.merged])
            bias = torch.cat([block.projection.bias.detach() + own_bias(block) for block in self.merged])
            packs = is_narrow and can_pack(weight.device, weight.dtype)
            self.project: Layer = PackedLinear(weight, bias) if packs else partial(functional.linear, weight=weight, bias=bias)
            self.widths = [len(block.projection.weight) for block in self.merged]

    def __call__(self, embedding: Tensor) -> dict[int, Tensor]:
        """By block: (1 or B, C) from the embedding (1 or B, E); the bias of the block's first convolution is in it."""
        active = functional.silu(embedding)
        shifts = {block.key: block.projection(active) + own_bias(block) for block in self.single}
        if self.merged:
            parts = self.project(active).split(self.widths, dim=1)
            shifts |= {block.key: part for block, part in zip(self.merged, parts, strict=True)}
        return shifts


def own_bias(block: ResidualBlock) -> Tensor | float:
    """The bias that is folded into a block's shift."""
    return block.conv1.bias if block.folds else 0.0


class EncoderPlan:
    """Encoder blocks and middle block of a network, with the same results.

    Both guidance halves of a batch are computed once as far as they are the same: up to the first attention to the text.

    Args:
        network: a U-Net, or a ControlNet.

    Attributes:
        unknown: what runs as it is, because no plan computes it.
    """

    def __init__(self, network: Any) -> None:
        self.network, self.unknown = network, set[str]()
        self.conv_in = pack(network.conv_in)
        self.levels = [self.plan_level(block) for block in network.down_blocks]
        self.middle = self.plan_middle(network.mid_block)
        self.shifts = Shifts(self.residual_blocks())

    def plan_level(self, block: nn.Module) -> tuple[list[tuple[Step, Step | None]], Any] | Step:
        """Residual blocks, each with its transformer, and the convolution to the next level; or the block as it is."""
        level: Any = block
        if not (is_plain(block, CrossAttnDownBlock2D) or is_plain(block, DownBlock2D)):
            self.unknown.add(type(block).__name__)
            return block
        attentions = list(level.attentions) if is_plain(block, CrossAttnDownBlock2D) else [None] * len(level.resnets)
        steps = [
            (plan_residual(resnet, self.unknown), None if model is None else plan_transformer(model, self.unknown))
            for resnet, model in zip(level.resnets, attentions, strict=True)
        ]
        if level.downsamplers is None:
            return steps, None
        down = level.downsamplers[0]
        try:
            return steps, plan_downsample(down)
        except UnknownModuleError as found:
            self.unknown.add(str(found))
            return steps, down

    def plan_middle(self, block: Any) -> list[Step] | nn.Module:
        """Residual block, then transformers and residual blocks in turn; or the block as it is."""
        if not is_plain(block, UNetMidBlock2DCrossAttn):
            self.unknown.add(type(block).__name__)
            return block
        steps = [plan_residual(block.resnets[0], self.unknown)]
        for model, resnet in zip(block.attentions, block.resnets[1:], strict=True):
            steps += [plan_transformer(model, self.unknown), plan_residual(resnet, self.unknown)]
        return steps

    def residual_blocks(self) -> list[ResidualBlock]:
        """Those of all levels and of the middle."""
        found: list[Any] = [step for level in self.levels if isinstance(level, tuple) for step, _ in level[0]]
        found += self.middle if isinstance(self.middle, list) else []
        return [step for step in found if isinstance(step, ResidualBlock)]

    def embedding(self, z_t: Tensor, t: Tensor | float, added_conditions: AddedConditions | None) -> Tensor:
        """The time embedding, (1, E) where all rows have the same, else (B, E)."""
        return embed_rows(self.network, z_t, t, added_conditions)

    def run(self, h: Tensor, given: StepInputs) -> tuple[tuple[Tensor, ...], Tensor]:
        """Skip connections and middle, of the whole batch, from the features of the first convolution."""
        skips = [h]
        for level in self.levels:
            skips += self.run_level(level, skips[-1], given)
        rows = len(given.text)
        return tuple(to_batch(skip, rows) for skip in skips), to_batch(self.run_middle(skips[-1], given), rows)

    def run_level(self, level: Any, h: Tensor, given: StepInputs) -> Iterator[Tensor]:
        """The features after each part of a level."""
        if not isinstance(level, tuple):
            h, embedding = to_batch(h, len(given.text)), given.embedding.expand(len(given.text), -1)
            states = {"encoder_hidden_states": given.text} if getattr(level, "has_cross_attention", False) else {}
            yield from level(hidden_states=h, temb=embedding, **states)[1]
            return
        steps, down = level
        for residual, transformer in steps:
            h = residual(h, given)
            h = h if transformer is None else transformer(h, given)
            yield h
        if down is not None:
            yield down(h)

    def run_middle(self, h: Tensor, given: StepInputs) -> Tensor:
        """The features after the middle block."""
        if isinstance(self.middle, list):
            for step in self.middle:
                h = step(h, given)
            return h
        h, embedding = to_batch(h, len(given.text)), given.embedding.expand(len(given.text), -1)
        states = {"encoder_hidden_states": given.text} if getattr(self.middle, "has_cross_attention", False) else {}
        return self.middle(h, embedding, **states)


def embed_rows(network: Any, z_t: Tensor, t: Tensor | float, added_conditions: AddedConditions | None) -> Tensor:
    """The time embedding, (1, E) where all rows have the same, else (B, E)."""
    steps = torch.as_tensor(t, device=z_t.device)
    same = steps.ndim == 0 or len(steps) == 1 or steps.stride(0) == 0
    if same and getattr(network, "add_embedding", None) is None:
        return embed(network, z_t[:1], steps.flatten()[:1])
    return embed(network, z_t, t, added_conditions)


def halve(z: Tensor) -> Tensor:
    """One guidance half of a batch whose halves are equal; the batch itself where they are not."""
    half = len(z) // 2
    return z[:half] if len(z) == 2 * half and half and torch.equal(z[:half], z[half:]) else z
