"""AdamW whose moments are kept in 8 bits, block by block (T. Dettmers et al., *8-bit Optimizers*, 2022, arXiv 2110.02861)."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["BLOCK", "AdamW8bit", "dynamic_map", "moment_bytes"]

BLOCK = 256  # numbers that share a scale, as in bitsandbytes and torchao
LEAST = 4096  # numbers: moments of smaller parameters stay in float32, likewise
EXPONENTS = 7


class AdamW8bit(torch.optim.Optimizer):
    """AdamW (Loshchilov and Hutter, 2019) with two bytes of state for each number in place of eight.

    A moment is `scale · map[code]`, where the scale is the largest of 256 numbers and the map is dense near zero. The
    update is computed in float32 from the moments before they are rounded, one parameter after the other.

    Args:
        groups: parameter groups with "lr".
        weight_decay: decoupled.
        betas: of the moments.
        epsilon: added to the root of the second moment.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        weight_decay: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(groups, {"lr": 1e-3, "weight_decay": weight_decay, "betas": betas, "eps": epsilon})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, group)

    def update(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        """One update of one parameter."""
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        count = state.setdefault("step", torch.zeros(()))
        count += 1
        first = load(state, "exp_avg", parameter).lerp_(gradient, 1 - beta1)
        second = load(state, "exp_avg_sq", parameter).mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        store(state, "exp_avg", first, signed=True)
        store(state, "exp_avg_sq", second, signed=False)
        size = second.div_(1 - beta2 ** count.item()).sqrt_().add_(group["eps"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.addcdiv_(first, size, value=-group["lr"] / (1 - beta1 ** count.item()))


def is_narrow(values: Tensor) -> bool:
    """Whether moments of this shape are kept in 8 bits: they are many, in whole blocks."""
    return values.numel() >= LEAST and values.numel() % BLOCK == 0


def moment_bytes(parameter: Tensor) -> int:
    """Bytes of one moment of a parameter, scales and all."""
    return parameter.numel() + 4 * parameter.numel() // BLOCK if is_narrow(parameter) else 4 * parameter.numel()


def load(state: dict[str, Any], moment: str, parameter: Tensor) -> Tensor:
    """A moment in float32, like its parameter; zero before the first step."""
    if moment not in state:
        return torch.zeros_like(parameter, dtype=torch.float32)
    codes, scale = state[moment], state.get(f"{moment}_scale")
    if scale is None:
        return codes.clone()
    levels = dynamic_map(moment == "exp_avg", str(codes.device))[0]
    return (levels.index_select(0, codes.flatten().int()).view(-1, BLOCK) * scale[:, None]).view_as(codes)


def store(state: dict[str, Any], moment: str, values: Tensor, signed: bool) -> None:
    """Keep a moment, in 8 bits where it is large and has whole blocks."""
    if not is_narrow(values):
        state[moment] = values.clone()
        return
    blocks = values.view(-1, BLOCK)
    scale = blocks.abs().amax(dim=1)
    nearest = dynamic_map(signed, str(values.device))[1]
    bits = (blocks / scale.clamp(min=1e-30)[:, None]).bfloat16().view(torch.int16).int() & 0xFFFF
    if moment not in state:
        state[moment] = torch.empty_like(values, dtype=torch.uint8)
        state[f"{moment}_scale"] = torch.empty_like(scale)
    # in place: memory of other sizes between what is kept from step to step could not be given back
    torch.index_select(nearest, 0, bits.flatten(), out=state[moment].view(-1))
    state[f"{moment}_scale"].copy_(scale)


@cache
def dynamic_map(signed: bool, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """The levels of dynamic tree quantization (section 2.1 of the paper), and the nearest one of every bfloat16 number.

    An exponent i of 10^(i - 6) comes with 2^i levels between 0.1 and 1, twice as many where no bit is the sign's.

    Args:
        signed: whether half of the levels are negative.
        device: where the tables lie.

    Returns:
        The levels, (256,), rising, in [-1, 1] or [0, 1]; and their indices, (65536,) of uint8, by the 16 bits of a number.
    """
    found = [0.0, 1.0]
    for exponent in range(EXPONENTS):
        edges = torch.linspace(0.1, 1, (1 if signed else 2) * 2**exponent + 1, dtype=torch.float64)
        levels = (10.0 ** (exponent - EXPONENTS + 1) * (edges[:-1] + edges[1:]) / 2).tolist()
        found += levels + ([-level for level in levels] if signed else [])
    table = torch.tensor(sorted(found), dtype=torch.float64)
    numbers = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).double().nan_to_num(0)
    nearest = torch.bucketize(numbers, (table[:-1] + table[1:]) / 2).to(torch.uint8)
    return table.float().to(device), nearest.to(device)
