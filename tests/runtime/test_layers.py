"""Packed linear layers, and a gate that is applied as its value is made."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.diffusion.randomness import keyed_noise
from zeroconv.runtime import transformer
from zeroconv.runtime.layers import PackedGate, PackedLinear, can_pack
from zeroconv.runtime.transformer import feed

ALLOWED = {torch.float32: 1e-6, torch.bfloat16: 6e-3}
TYPES = [dtype for dtype in ALLOWED if can_pack(torch.device("cpu"), dtype)]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return keyed_noise(shape, seed, "layers")


def linear(inputs: int, outputs: int, dtype: torch.dtype, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    layer.weight.data = numbers(outputs, inputs, seed=1) / inputs**0.5
    if bias:
        layer.bias.data = numbers(outputs, seed=2)
    return layer.requires_grad_(False).to(dtype)


def error(found: Tensor, exact: Tensor) -> float:
    assert found.shape == exact.shape
    return float((found.double() - exact).norm() / exact.norm())


def exact_gate(layer: nn.Linear, x: Tensor) -> Tensor:
    value, gate = copy.deepcopy(layer).double()(x.double()).chunk(2, -1)
    return value * functional.gelu(gate)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
def test_a_gate_is_applied_exactly(dtype: torch.dtype, bias: bool) -> None:
    layer, x = linear(48, 2 * 40, dtype, bias), numbers(2, 7, 48).to(dtype)
    found = PackedGate(layer)(x)
    assert found.dtype == dtype
    assert error(found, exact_gate(layer, x)) < ALLOWED[dtype]


@pytest.mark.parametrize("dtype", TYPES)
def test_a_gate_rounds_no_more_than_the_layers_one_by_one(dtype: torch.dtype) -> None:
    layer, x = linear(320, 2560, dtype), numbers(1, 64, 320).to(dtype)
    exact = exact_gate(layer, x)
    value, gate = layer(x).chunk(2, -1)
    assert error(PackedGate(layer)(x), exact) < 1.1 * error(value * functional.gelu(gate), exact)


@pytest.mark.parametrize("rows", [1, 5, 6, 13, 14])
def test_blocks_of_tokens_are_the_whole(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one token, with a rest, without one, and all at a time."""
    widen, narrow, x = linear(48, 2 * 40, torch.float32), linear(40, 48, torch.float32), numbers(2, 7, 48)
    counts = list[int]()

    def counted(z: Tensor) -> Tensor:
        counts.append(z.numel() // 40)
        return narrow(z)

    monkeypatch.setattr(transformer, "HIDDEN", rows * 40 * 4)
    found = partial(feed, PackedGate(widen), counted)(x)
    assert error(found, functional.linear(exact_gate(widen, x), narrow.weight.double(), narrow.bias.double())) < 1e-6
    assert counts == [rows] * (14 // rows) + [14 % rows] * (14 % rows > 0)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_layer_takes_another_bias_and_lets_its_weights_go(dtype: torch.dtype) -> None:
    layer, x, other = linear(48, 40, dtype), numbers(3, 48).to(dtype), numbers(40, seed=5).to(dtype)
    packed = PackedLinear(layer.weight, layer.bias)
    for bias in (layer.bias, other):
        exact = functional.linear(x.double(), layer.weight.double(), bias.double())
        assert error(packed(x, None if bias is layer.bias else bias), exact) < ALLOWED[dtype]
    assert not hasattr(packed, "weight")
