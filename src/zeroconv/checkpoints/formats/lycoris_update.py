"""LoHa and LoKr: updates that are products of another kind than LoRA's, as LyCORIS and PEFT write them.

- LoHa: Hyeon-Woo, Ye-Bin, Oh, FedPara: Low-Rank Hadamard Product, 2021, https://arxiv.org/abs/2108.06098
- LoKr: Edalati et al., KronA: Parameter Efficient Tuning with Kronecker Adapter, 2022, https://arxiv.org/abs/2212.10650
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from zeroconv.checkpoints.formats.lora_update import ProductUpdate

__all__ = ["HadamardUpdate", "KroneckerUpdate", "Matrix"]


@dataclass(frozen=True, eq=False)
class Matrix:
    """A matrix or kernel in one to three tensors.

    Attributes:
        whole: (m, n) or (m, n, k, k), where it is not factored.
        factors: a (m, r) and b (r, n · k · k), whose product it is; with a core a (r, m) and b (s, n).
        core: t (r, s, k, k), where a kernel was split in three.
    """

    whole: Tensor | None = None
    factors: tuple[Tensor, Tensor] | None = None
    core: Tensor | None = None

    @property
    def rank(self) -> int | None:
        """The number r of directions; None where it is not factored."""
        return None if self.factors is None else len(self.factors[1])

    def product(self, device: torch.device) -> Tensor:
        """All of it in float32: (m, n), (m, n · k · k) or (m, n, k, k)."""
        if self.factors is None:
            assert self.whole is not None, "a matrix is whole or factored"
            return self.whole.to(device, torch.float32)
        a, b = (factor.to(device, torch.float32) for factor in self.factors)
        if self.core is None:
            return a @ b.flatten(1)
        return torch.einsum("rshw,rm,sn->mnhw", self.core.to(device, torch.float32), a, b)


@dataclass(frozen=True, eq=False)
class HadamardUpdate(ProductUpdate):
    """LoHa: alpha / r · w_1 ∘ w_2, two low-rank matrices multiplied number by number.

    Attributes:
        first: w_1, (o, i · k · k) or (o, i, k, k).
        second: w_2, likewise.
        alpha: the numerator of the scale; None means r.
    """

    first: Matrix
    second: Matrix
    alpha: float | None = None

    @property
    def kind(self) -> str:
        """Its name for people."""
        return "LoHa"

    @property
    def rank(self) -> int | None:
        """The number r of directions of each matrix."""
        return self.first.rank

    def product(self, device: torch.device) -> Tensor:
        """The Hadamard product in float32: (o, i · k · k) or (o, i, k, k)."""
        return self.first.product(device) * self.second.product(device)


@dataclass(frozen=True, eq=False)
class KroneckerUpdate(ProductUpdate):
    """LoKr: alpha / r · w_1 ⊗ w_2.

    Attributes:
        first: w_1, (a, b).
        second: w_2, (c, d), (c, d · k · k) or (c, d, k, k); o is a · c, and i is b · d.
        alpha: the numerator of the scale; None means r. Where neither is factored there is no r, and the scale is 1.
        stated_rank: r where neither is factored and the file's settings state one, as PEFT's do.
    """

    first: Matrix
    second: Matrix
    alpha: float | None = None
    stated_rank: int | None = None

    @property
    def kind(self) -> str:
        """Its name for people."""
        return "LoKr"

    def with_alpha(self, alpha: float, rank: int | None = None) -> Self:
        """The same with this alpha, and this r where neither matrix is factored."""
        return replace(self, alpha=alpha, stated_rank=rank)

    @property
    def rank(self) -> int | None:
        """The number r of directions; None if neither matrix is factored and none is stated."""
        return self.second.rank or self.first.rank or self.stated_rank

    def product(self, device: torch.device) -> Tensor:
        """The Kronecker product in float32: (a, c, b, …), the numbers of (o, i, k, k) in their order."""
        return torch.einsum("ab,cd...->acbd...", self.first.product(device), self.second.product(device))
