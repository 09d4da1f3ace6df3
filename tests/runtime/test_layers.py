"""Packed linear layers, and a gate that is applied as its value is made."""

import copy

import pytest
import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.diffusion.randomness import keyed_noise
from zeroconv.runtime import layers, transformer
from zeroconv.runtime.layers import PackedGate, PackedLinear, can_pack
from zeroconv.runtime.transformer import plan_feed_forward

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


@pytest.mark.parametrize(("tokens", "counts"), [(14, [14]), (13, [7, 7]), (5, [5, 5, 4]), (1, [1] * 14)])
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "plain"])
def test_blocks_of_tokens_are_the_whole(packed: bool, tokens: int, counts: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """As few blocks as memory allows, all as large as each other but for one token."""
    layer, x, seen = FeedForward(48, mult=1).requires_grad_(False), numbers(2, 7, 48), list[int]()
    narrow = layer.net[2]
    assert isinstance(narrow, nn.Linear)
    narrow.register_forward_hook(lambda *given: seen.append(given[1][0].numel() // 48))
    monkeypatch.setattr(transformer, "HIDDEN", tokens * 48 * 4 * (1 if packed else 2))
    monkeypatch.setattr(layers, "should_pack", lambda _: packed)
    found = plan_feed_forward(layer)(x)
    assert seen == counts
    assert error(found, copy.deepcopy(layer).double()(x.double())) < 1e-6


@pytest.mark.parametrize("dtype", TYPES)
def test_a_layer_takes_another_bias_and_lets_its_weights_go(dtype: torch.dtype) -> None:
    layer, x, other = linear(48, 40, dtype), numbers(3, 48).to(dtype), numbers(40, seed=5).to(dtype)
    packed = PackedLinear(layer.weight, layer.bias)
    for bias in (layer.bias, other):
        exact = functional.linear(x.double(), layer.weight.double(), bias.double())
        assert error(packed(x, None if bias is layer.bias else bias), exact) < ALLOWED[dtype]
    assert not hasattr(packed, "weight")
