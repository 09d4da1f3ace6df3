"""Controls compose by addition, act where and on whom they are told, and nowhere else (section 3.4)."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.tiny import SDXL, build_control, build_inputs, build_pooled, build_unet, count_calls
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.control.controlled_unet import add_residuals
from zeroconv.stable_diffusion import decode, encode

Pair = tuple[ControlNet, ControlNet]


@pytest.fixture(scope="module")
def pair(unet: Any) -> Pair:
    """Two networks as after training."""
    return build_control(unet, seed=1), build_control(unet, seed=2)


@pytest.fixture(scope="module")
def third(unet: Any) -> ControlNet:
    return build_control(unet, seed=3)


@pytest.fixture(scope="module")
def inputs(unet: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return build_inputs(unet)


def acting(network: ControlNet, condition: Tensor, **how: Any) -> ActiveControl:
    return ActiveControl(network, network.encode_condition(condition), **how)


@settings(max_examples=3)
@given(seed=st.integers(0, 10_000), side=st.sampled_from([8, 11, 16]))
@torch.no_grad()
def test_order_of_three_does_not_matter(unet: Any, pair: Pair, third: ControlNet, seed: int, side: int) -> None:
    """Up to rounding: a sum of two commutes bit by bit whatever the code does, one of three tells."""
    z_t, t, text, condition = build_inputs(unet, side=side, seed=seed)
    a, b, c = acting(pair[0], condition), acting(pair[1], condition.flip(-1)), acting(third, condition.flip(-2))
    controlled = ControlledUNet(unet)
    together = controlled(z_t, t, text, [a, b, c])
    for order in itertools.permutations([a, b, c]):
        torch.testing.assert_close(controlled(z_t, t, text, order), together, atol=1e-5, rtol=1e-5)
    for two in itertools.combinations([a, b, c], 2):
        assert (controlled(z_t, t, text, two) - together).abs().max() > 1e-3


@torch.no_grad()
def test_residuals_of_two_are_the_sum_of_each(unet: Any, pair: Pair, inputs: tuple[Tensor, ...]) -> None:
    z_t, t, text, condition = inputs
    a, b = pair[0](z_t, t, text, condition), pair[1](z_t, t, text, condition)
    by_hand = decode(unet, add_residuals(encode(unet, z_t, t, text), a + b), text)
    together = ControlledUNet(unet)(z_t, t, text, [acting(n, condition) for n in pair])
    assert torch.equal(together, by_hand)


@torch.no_grad()
def test_the_sum_is_that_of_figure_3(unet: Any, pair: Pair, inputs: tuple[Tensor, ...]) -> None:
    z_t, t, text, condition = inputs
    locked, residuals = encode(unet, z_t, t, text), pair[0](z_t, t, text, condition)
    summed = add_residuals(locked, residuals)
    for skip, before, residual in zip(summed.skips, locked.skips, residuals.skips, strict=True):
        assert torch.equal(skip, before + residual)
    assert torch.equal(summed.middle, locked.middle + residuals.middle)
    assert torch.equal(summed.embedding, locked.embedding)


@given(st.floats(-3, 3).filter(lambda x: x != 0))
@torch.no_grad()
def test_scale_multiplies_every_residual(pair: Pair, inputs: tuple[Tensor, ...], scale: float) -> None:
    z_t, t, text, condition = inputs
    once = pair[0](z_t, t, text, condition)
    scaled = acting(pair[0], condition, weights=torch.full((13,), scale, dtype=torch.float64)).residuals(z_t, t, text)
    assert scaled is not None
    assert all(torch.equal(s, r * scale) for s, r in zip(scaled.values(), once.values(), strict=True))


@torch.no_grad()
def test_twice_the_same_control_is_scale_two(unet: Any, pair: Pair, inputs: tuple[Tensor, ...]) -> None:
    z_t, t, text, condition = inputs
    controlled, once = ControlledUNet(unet), acting(pair[0], condition)
    double = acting(pair[0], condition, weights=torch.full((13,), 2.0, dtype=torch.float64))
    assert torch.equal(controlled(z_t, t, text, [once, once]), controlled(z_t, t, text, [double]))


@torch.no_grad()
def test_features_once_are_the_condition_each_time(pair: Pair, inputs: tuple[Tensor, ...]) -> None:
    z_t, t, text, condition = inputs
    features = pair[0].encode_condition(condition)
    for step in (t, torch.tensor(3), 3, 3.0):
        given = pair[0](z_t, step, text, features=features)
        assert all(torch.equal(a, b) for a, b in zip(given.values(), pair[0](z_t, step, text, condition).values(), strict=True))


@torch.no_grad()
def test_mask_of_one_changes_nothing_and_of_zero_is_the_plain_unet(unet: Any, pair: Pair, inputs: tuple[Tensor, ...]) -> None:
    z_t, t, text, condition = inputs
    controlled = ControlledUNet(unet)
    whole, nowhere = (acting(pair[0], condition, mask=torch.full((1, 1, 64, 64), value)) for value in (1.0, 0.0))
    assert torch.equal(controlled(z_t, t, text, [whole]), controlled(z_t, t, text, [acting(pair[0], condition)]))
    assert torch.equal(controlled(z_t, t, text, [nowhere]), unet(z_t, t, text).sample)


@torch.no_grad()
def test_two_masked_halves_of_one_control_are_the_whole(unet: Any, pair: Pair) -> None:
    z_t, t, text, condition = build_inputs(unet, side=16)
    left = torch.zeros(1, 1, 128, 128)
    left[..., :64] = 1
    halves = [acting(pair[0], condition, mask=mask) for mask in (left, 1 - left)]
    controlled = ControlledUNet(unet)
    assert torch.equal(controlled(z_t, t, text, halves), controlled(z_t, t, text, [acting(pair[0], condition)]))


@torch.no_grad()
def test_on_some_rows_it_leaves_the_others_alone_and_costs_nothing_there(unet: Any, pair: Pair) -> None:
    z_t, t, text, condition = build_inputs(unet, batch=4)
    controlled, plain = ControlledUNet(unet), unet(z_t, t, text).sample
    everywhere = controlled(z_t, t, text, [acting(pair[0], condition)])
    calls = count_calls(pair[0])
    half = controlled(z_t, t, text, [acting(pair[0], condition[2:], rows=slice(2, None))])
    assert calls == [2]
    assert torch.equal(half[:2], plain[:2])
    torch.testing.assert_close(half[2:], everywhere[2:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_one_condition_serves_a_batch(unet: Any, pair: Pair, inputs: tuple[Tensor, ...]) -> None:
    z_t, t, text, condition = inputs
    one = condition[:1]
    controlled = ControlledUNet(unet)
    shared, repeated = (controlled(z_t, t, text, [acting(pair[0], c)]) for c in (one, torch.cat([one, one])))
    torch.testing.assert_close(shared, repeated, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_rows_of_sdxl_take_their_part_of_the_pooled_text() -> None:
    unet = build_unet(SDXL)
    (z_t, t, text, condition), pooled, network = build_inputs(unet), build_pooled(unet), build_control(unet, seed=1)
    controlled = ControlledUNet(unet)
    half = controlled(z_t, t, text, [acting(network, condition[1:], rows=slice(1, None))], pooled)
    assert torch.equal(half[:1], controlled(z_t, t, text, (), pooled)[:1])
    torch.testing.assert_close(
        half[1:], controlled(z_t, t, text, [acting(network, condition)], pooled)[1:], atol=1e-5, rtol=1e-5
    )
