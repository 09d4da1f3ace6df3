"""A low-rank update of one weight: two thin factors, a scale, and what they add up to.

Title: LoRA: Low-Rank Adaptation of Large Language Models. Authors: Hu et al., 2021. https://arxiv.org/abs/2106.09685
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from zeroconv.checkpoints.keys.lora import Role

__all__ = ["LowRankUpdate", "assemble"]


@dataclass(frozen=True, eq=False)
class LowRankUpdate:
    """What is added to one weight: alpha / r · up · down.

    Attributes:
        down: (r, i) for a linear map, (r, i, k, k) for a convolution; (r, i) beside a `mid`.
        up: (o, r).
        mid: (r, r, k, k) where a convolution was split in three (LoCon).
        alpha: the numerator of the scale; None means r, a scale of 1.
    """

    down: Tensor
    up: Tensor
    mid: Tensor | None = None
    alpha: float | None = None

    @property
    def rank(self) -> int:
        """The number r of directions."""
        return self.up.shape[1]

    @property
    def scale(self) -> float:
        """The factor alpha / r before up · down."""
        return 1.0 if self.alpha is None else self.alpha / self.rank

    def delta(self, device: torch.device | None = None) -> Tensor:
        """The update in float32 and in the shape of the weight: (o, i) or (o, i, k, k)."""
        up, down = (factor.to(device, torch.float32) for factor in (self.up, self.down))
        if self.mid is not None:
            return self.scale * torch.einsum("oa,abhw,bi->oihw", up, self.mid.to(device, torch.float32), down)
        return self.scale * (up @ down.flatten(1)).reshape(len(up), *down.shape[1:])

    def size(self) -> float:
        """The norm ‖delta‖, from two r x r matrices and without delta if there is no `mid`: tr(upᵀ up · down downᵀ)."""
        if self.mid is not None:
            return float(self.delta().double().norm())
        up, down = self.up.double(), self.down.double().flatten(1)
        return abs(self.scale) * math.sqrt(max(0.0, float(((up.T @ up) * (down @ down.T)).sum())))


def assemble(roles: Mapping[Role, str], tensors: Mapping[str, Tensor], shape: tuple[int, ...], what: str) -> LowRankUpdate:
    """The tensors for one module as an update of its weight. A linear map and a 1x1 convolution fit one another.

    Args:
        roles: what each tensor is -> its name in the file.
        tensors: the file's.
        shape: of the weight.
        what: what errors call the file.

    Raises:
        ValueError: when a factor is missing, does not fit, or is not finite.
    """
    missing = next((role for role in ("down", "up") if role not in roles), None)
    if missing:
        raise ValueError(f"{what} has {next(iter(roles.values()))!r} without its {missing!r} tensor; expected both factors")
    down, up = tensors[roles["down"]], tensors[roles["up"]]
    mid = tensors[roles["mid"]] if "mid" in roles else None
    if not fits(tuple(down.shape), tuple(up.shape), None if mid is None else tuple(mid.shape), shape):
        got = ", ".join(f"{name!r} {tuple(tensors[name].shape)}" for role, name in roles.items() if role != "alpha")
        raise ValueError(f"{what} has {got}; expected factors of a weight {shape}, as this base has it there")
    for name in roles.values():
        if not bool(tensors[name].float().isfinite().all()):
            raise ValueError(f"{what}: {name!r} holds numbers that are not finite; the file is broken, get it again")
    alpha = tensors[roles["alpha"]] if "alpha" in roles else None
    if alpha is not None and alpha.numel() != 1:
        raise ValueError(f"{what}: {roles['alpha']!r} holds {alpha.numel()} numbers; expected one")
    rank, sides = down.shape[0], shape[1:] if mid is None else shape[1:2]
    return LowRankUpdate(down.reshape(rank, *sides), up.reshape(shape[0], rank), mid, None if alpha is None else float(alpha))


def fits(down: tuple[int, ...], up: tuple[int, ...], mid: tuple[int, ...] | None, shape: tuple[int, ...]) -> bool:
    """Whether factors of these shapes multiply to a weight of this shape."""
    if len(down) < 2 or len(up) < 2 or down[0] == 0:
        return False
    rank, sides = down[0], shape[1:] if mid is None else shape[1:2]
    split_in_three = mid is None or (len(shape) == 4 and mid == (rank, rank, *shape[2:]))
    return split_in_three and bare(up) == bare((shape[0], rank)) and bare(down) == bare((rank, *sides))


def bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the sides of 1 at its end: (o, i, 1, 1) and (o, i) are one."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return shape
