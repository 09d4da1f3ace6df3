"""Muon: orthogonalized momentum for matrices (K. Jordan et al., 2024), AdamW for everything else."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zeroconv.training.divided_tensors import divide_like, whole

__all__ = ["Muon", "orthogonalize"]

STEPS = 5  # of the Newton-Schulz iteration
LONG = 1.5  # columns per row from which iterating on the Gram matrix is cheaper


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by five Newton-Schulz steps, for matrices; AdamW for the rest.

    K. Jordan et al., *Muon: An optimizer for hidden layers in neural networks*, 2024. A convolution counts as the
    matrix of its output channels by everything else. Matrices that are divided over processes are gathered, those of one
    shape at a time, and orthogonalised in each.

    Args:
        groups: parameter groups with "lr" and "orthogonal".
        weight_decay: of the AdamW groups.
        momentum: of the matrices.
        betas: of AdamW.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        super().__init__(groups, {"lr": 1e-3, "weight_decay": weight_decay, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["orthogonal"]:
                self.update_matrices(parameters, group)
            else:
                for parameter in parameters:
                    self.update_rest(parameter, parameter.grad, group)

    def update_matrices(self, parameters: Sequence[nn.Parameter], group: dict[str, Any]) -> None:
        """Nesterov momentum, then the nearest semi-orthogonal matrix, scaled by its shape; those of one shape together."""
        alike: dict[tuple[int, ...], list[tuple[nn.Parameter, Tensor]]] = {}
        for parameter in parameters:
            assert parameter.grad is not None
            state = self.state[parameter]
            state["step"] = state.get("step", torch.zeros(())) + 1  # nothing here needs it: it tells whole updates from halves
            buffer = state.setdefault("momentum", torch.zeros_like(parameter))
            buffer.lerp_(parameter.grad, 1 - group["momentum"])
            update = parameter.grad.lerp(buffer, group["momentum"])
            alike.setdefault((len(parameter), parameter.numel() // len(parameter)), []).append((parameter, update))
        for (rows, columns), members in alike.items():
            scale = max(1.0, rows / columns) ** 0.5
            directions = orthogonalize(torch.stack([whole(update).flatten(1) for _, update in members]))
            for (parameter, _), direction in zip(members, directions, strict=True):
                parameter.add_(divide_like(direction.view(parameter.shape), parameter), alpha=-group["lr"] * scale)

    def update_rest(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """AdamW (Loshchilov and Hutter, 2019, arXiv 1711.05101)."""
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        count = state.setdefault("step", torch.zeros(()))
        first = state.setdefault("exp_avg", torch.zeros_like(parameter))
        second = state.setdefault("exp_avg_sq", torch.zeros_like(parameter))
        count += 1
        first.lerp_(gradient, 1 - beta1)
        second.lerp_(gradient.square(), 1 - beta2)
        size = (second / (1 - beta2 ** count.item())).sqrt_().add_(1e-8)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(first / (1 - beta1 ** count.item()), size, value=-group["lr"])


def orthogonalize(matrices: Tensor) -> Tensor:
    """About the nearest semi-orthogonal matrices (singular values 0.7 … 1.2), by a quintic Newton-Schulz iteration.

    Each step takes X to P X, where P is a polynomial of X's Gram matrix. Where a matrix is long, it is cheaper to
    iterate on the Gram matrix, which is the smaller one, and to multiply X once by the product of all P.

    Args:
        matrices: (N, rows, columns), each treated by itself.
    """
    x = matrices / (torch.linalg.matrix_norm(matrices)[:, None, None] + 1e-7)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = iterate_gram(x) if x.shape[2] >= LONG * x.shape[1] else iterate(x)
    return x.mT if tall else x


def polynomial(gram: Tensor) -> Tensor:
    """-4.775 G + 2.0315 G², to which 3.4445 times the identity belongs."""
    return torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)


def iterate(x: Tensor) -> Tensor:
    """Five steps on the matrices themselves."""
    for _ in range(STEPS):
        x = torch.baddbmm(x, polynomial(x @ x.mT), x, beta=3.4445)
    return x


def iterate_gram(x: Tensor) -> Tensor:
    """The same five steps on their Gram matrices: P G P is the next one's, symmetric but for rounding."""
    gram = x @ x.mT
    identity = 3.4445 * torch.eye(gram.shape[1], dtype=x.dtype, device=x.device)
    product = p = polynomial(gram) + identity
    for _ in range(STEPS - 1):
        gram = p @ gram @ p
        gram = (gram + gram.mT) / 2
        p = polynomial(gram) + identity
        product = p @ product
    return product @ x
