"""Updates of one weight, as LoRA files hold them: a few small tensors, a scale, and what they add up to.

- LoRA: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021, https://arxiv.org/abs/2106.09685
- DoRA: Liu et al., DoRA: Weight-Decomposed Low-Rank Adaptation, 2024, https://arxiv.org/abs/2402.09353
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

__all__ = ["DecomposedUpdate", "LowRankUpdate", "ProductUpdate", "WeightUpdate"]


class WeightUpdate(Protocol):
    """What is added to one weight: (o, i) of a linear map, or (o, i, k, k) of a convolution."""

    @property
    def kind(self) -> str:
        """Its name for people, such as "LoRA"."""
        ...

    @property
    def rank(self) -> int | None:
        """The number r of directions; None where nothing is factored."""
        ...

    @property
    def alpha(self) -> float | None:
        """The numerator of the scale alpha / r; None if the file does not say it, which is a scale of 1."""
        ...

    def with_alpha(self, alpha: float, rank: int | None = None) -> Self:
        """The same with this alpha, and this r where the tensors have none."""
        ...

    def delta(self, weight: Tensor) -> Tensor:
        """What is added to this weight, in float32, in its shape and on its device."""
        ...

    def size(self, weight: Tensor) -> float:
        """The norm of `delta`."""
        ...


class ProductUpdate(ABC):
    """An update that does not depend on the weight: a product of small tensors, times alpha / r."""

    alpha: float | None

    @property
    @abstractmethod
    def rank(self) -> int | None:
        """The number r of directions; None where nothing is factored."""

    @property
    def scale(self) -> float:
        """The factor alpha / r before the product."""
        return 1.0 if self.alpha is None or self.rank is None else self.alpha / self.rank

    def with_alpha(self, alpha: float, rank: int | None = None) -> Self:
        """The same with this alpha; the tensors have an r of their own."""
        made: Any = self
        return replace(made, alpha=alpha)

    @abstractmethod
    def product(self, device: torch.device) -> Tensor:
        """The product in float32: the weight's numbers in their order."""

    def delta(self, weight: Tensor) -> Tensor:
        """What is added to this weight, in float32, in its shape and on its device."""
        return (self.scale * self.product(weight.device)).reshape(weight.shape)

    def size(self, weight: Tensor) -> float:
        """The norm of `delta`."""
        return float(torch.linalg.vector_norm(self.delta(weight).double()))


@dataclass(frozen=True, eq=False)
class LowRankUpdate(ProductUpdate):
    """LoRA: alpha / r · up · down.

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
    def kind(self) -> str:
        """Its name for people."""
        return "LoRA"

    @property
    def rank(self) -> int:
        """The number r of directions."""
        return self.up.shape[1]

    def product(self, device: torch.device) -> Tensor:
        """`up · down` in float32: (o, i) or (o, i, k, k)."""
        up, down = (factor.to(device, torch.float32) for factor in (self.up, self.down))
        if self.mid is not None:
            return torch.einsum("oa,abhw,bi->oihw", up, self.mid.to(device, torch.float32), down)
        return (up @ down.flatten(1)).reshape(len(up), *down.shape[1:])

    def size(self, weight: Tensor) -> float:
        """The norm of `delta`, from two r x r matrices and without it if there is no `mid`: tr(upᵀ up · down downᵀ)."""
        if self.mid is not None:
            return super().size(weight)
        up, down = self.up.double(), self.down.double().flatten(1)
        return abs(self.scale) * math.sqrt(max(0.0, float(((up.T @ up) * (down @ down.T)).sum())))


@dataclass(frozen=True, eq=False)
class DecomposedUpdate:
    """DoRA: a weight whose direction an update turns and whose length is learnt: W' = m · (W + Δ) / ‖W + Δ‖.

    Attributes:
        direction: gives Δ.
        magnitude: m, (o,) for a length of each output, or (1, i) for one of each input.
    """

    direction: WeightUpdate
    magnitude: Tensor

    @property
    def kind(self) -> str:
        """Its name for people."""
        return "DoRA" if self.direction.kind == "LoRA" else f"DoRA of {self.direction.kind}"

    @property
    def rank(self) -> int | None:
        """That of the direction."""
        return self.direction.rank

    @property
    def alpha(self) -> float | None:
        """That of the direction."""
        return self.direction.alpha

    def with_alpha(self, alpha: float, rank: int | None = None) -> Self:
        """The same with this alpha, and this r where the tensors have none."""
        return replace(self, direction=self.direction.with_alpha(alpha, rank))

    def delta(self, weight: Tensor) -> Tensor:
        """W' - W, in float32 and in the shape of the weight."""
        before = weight.detach().float()
        turned = before + self.direction.delta(weight)
        axis = 0 if self.magnitude.ndim == 1 else 1
        rows = turned.transpose(0, axis).flatten(1)
        ratio = self.magnitude.flatten().to(rows) / rows.norm(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        return (rows * ratio[:, None]).reshape(turned.transpose(0, axis).shape).transpose(0, axis) - before

    def size(self, weight: Tensor) -> float:
        """The norm of `delta`."""
        return float(torch.linalg.vector_norm(self.delta(weight).double()))
