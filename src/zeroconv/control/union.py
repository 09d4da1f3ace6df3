"""What a ControlNet-Union has beside a ControlNet: a token for each condition, and an embedding of which ones there are.

The network is xinsir's (ControlNet++, 2024), and the arithmetic that of diffusers' `ControlNetUnionModel`, whose tensors'
names are kept, the misspelt one too. Its attention runs over the rows of a batch, not over the tokens of one row
(`nn.MultiheadAttention` reads its first axis as the sequence). A row alone, or rows with the same conditions, as under
guidance, therefore attend to themselves, and a token gets its own value back. Here it always does, so that a picture
does not depend on the ones beside it; and what a condition adds depends on neither latents nor step.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self, cast

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.checkpoints.formats.controlnet_config import ControlNetConfig
from zeroconv.checkpoints.formats.controlnet_union import UnionConfig, control_type
from zeroconv.errors import InputError

__all__ = ["UnionMethods", "add_union_parts", "embed_control_types", "fuse_conditions"]

QUICK_GELU = 1.702


class Feedforward(nn.Module):
    """Two layers with the sigmoid form of GELU between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, C) to tokens."""
        h = self.c_fc(x)
        return self.c_proj(h * torch.sigmoid(QUICK_GELU * h))


class TokenLayer(nn.Module):
    """A transformer layer for tokens that meet no other one: attention to itself alone is its value."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, 1)
        self.ln_1, self.ln_2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mlp = Feedforward(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, C) to tokens."""
        weight, bias = self.attn.in_proj_weight.chunk(3)[2], self.attn.in_proj_bias.chunk(3)[2]
        x = x + self.attn.out_proj(functional.linear(self.ln_1(x), weight, bias))
        return x + self.mlp(self.ln_2(x))


def add_union_parts(network: Any, config: ControlNetConfig) -> None:
    """Give a ControlNet the parts of a Union, under diffusers' names.

    Args:
        network: its time embedding says how wide the embedding is.
        config: of a Union.
    """
    union = config.union
    assert union is not None, "of a Union"
    channels, width = union.num_trans_channel, config.unet_settings["addition_time_embed_dim"]
    flip, shift = (config.unet_settings.get(name, default) for name, default in (("flip_sin_to_cos", True), ("freq_shift", 0)))
    network.task_embedding = nn.Parameter(channels**0.5 * torch.randn(union.num_control_type, channels))
    network.transformer_layes = nn.ModuleList(TokenLayer(channels) for _ in range(union.num_trans_layer))
    network.spatial_ch_projs = nn.Linear(channels, union.num_proj_channel)
    network.control_type_proj = Timesteps(width, flip, shift)
    embedding = network.time_embedding.linear_2.out_features
    network.control_add_embedding = TimestepEmbedding(width * union.num_control_type, embedding)


def embed_control_types(network: Any, types: Sequence[int]) -> Tensor:
    """What joins the time embedding, (1, E): which control types there are.

    Args:
        network: a Union.
        types: of the conditions, in any order.
    """
    weight = network.task_embedding
    present = torch.zeros(len(weight), device=weight.device)
    present[list(types)] = 1
    return network.control_add_embedding(network.control_type_proj(present).reshape(1, -1).to(weight.dtype))


def fuse_conditions(network: Any, features: Sequence[Tensor], types: Sequence[int], scales: Sequence[float]) -> Tensor:
    """The sum of the conditions' features, each with what its token adds to every place: (B, C, h, w).

    Args:
        network: a Union.
        features: of each condition, E(c), (B, C, h, w).
        types: the control type of each.
        scales: the strength of each, which acts on features and token alike.
    """
    total: Tensor | None = None
    for one, kind, scale in zip(features, types, scales, strict=True):
        token = (one.mean(dim=(2, 3)) + network.task_embedding[kind]) * scale
        for layer in network.transformer_layes:
            token = layer(token)
        fused = (one + network.spatial_ch_projs(token)[:, :, None, None]) * scale
        total = fused if total is None else total + fused
    assert total is not None, "a control has a condition"
    return total


class UnionMethods:
    """What a ControlNet can do if it is a Union.

    Attributes:
        config: of the ControlNet.
        name: what it was opened as.
    """

    config: ControlNetConfig
    name: str

    def follow(self, condition: str) -> Self:
        """This ControlNet-Union as the network of one condition; both have the same tensors.

        Args:
            condition: such as "depth"; published ones know those of `union_conditions`.

        Raises:
            ValueError: when this is no Union, or has no control type for the condition.
        """
        network = copy.copy(self)
        network.config = replace(self.config, condition=condition, union=self.union)
        network.name = f"{self.name.partition('#')[0]}#{condition}"
        return network

    @property
    def union(self) -> UnionConfig:
        """The settings of a ControlNet-Union.

        Raises:
            ValueError: when it is none.
        """
        if self.config.union is None:
            message = f"{self.name} follows {self.config.condition!r} alone; expected a ControlNet-Union"
            raise InputError(message, field="network")
        return self.config.union

    def embed_condition(self) -> Tensor:
        """What joins the time embedding, (1, E), for the one condition that it follows; errors as `control_type`."""
        return embed_control_types(self, [control_type(self.union, self.config.condition)])

    def shares_union_with(self, other: object) -> bool:
        """Whether two are one ControlNet-Union, each with a condition of its own."""
        return self.config.union is not None and getattr(other, "task_embedding", None) is cast(Any, self).task_embedding

    def encode_conditions(
        self, names: Sequence[str | None], conditions: Sequence[Tensor], scales: Sequence[float] | None = None
    ) -> tuple[Tensor, Tensor]:
        """What a ControlNet-Union makes of several conditions at a time, as it was trained to.

        Args:
            names: of the conditions, such as "depth" and "pose".
            conditions: condition images (B, 3, H, W) in [0, 1], one for each name; holes to fill are black.
            scales: the strength of each; 1 if left out.

        Returns:
            `features` and `control_embedding` of `forward`.

        Raises:
            ValueError: when this is no Union, has no control type for a condition, or there are not as many images as names.
        """
        types = [control_type(self.union, name) for name in names]
        encode = cast(Any, self).controlnet_cond_embedding
        # ControlNet 1.1 marks holes by -1, a Union by black
        features = [encode(condition.clamp(min=0)) for condition in conditions]
        fused = fuse_conditions(self, features, types, scales or [1.0] * len(types))
        return fused, embed_control_types(self, types)
