"""Identity at initialisation: the controlled U-Net is the plain one, bit by bit (equation 3)."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.tiny import FAMILIES, build_control, build_inputs, build_pooled, build_unet, count_calls, numbers
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "lite": {"variant": "lite"},
    "paper encoder": {"condition_encoder": "paper"},
    "lite, paper encoder": {"variant": "lite", "condition_encoder": "paper"},
    "one channel": {"conditioning_channels": 1},
}
sides = st.integers(1, 13)  # latents of any side, also no multiples of the U-Net's reduction of 8


@pytest.fixture(scope="module")
def newborns(unet: Any) -> dict[str, ControlNet]:
    return {name: build_control(unet, **settings) for name, settings in VARIANTS.items()}


def predict(unet: Any, network: ControlNet, inputs: tuple[Tensor, ...], **acting: Any) -> Tensor:
    z_t, t, text, condition = inputs
    control = ActiveControl(network, network.encode_condition(condition), **acting)
    return ControlledUNet(unet)(z_t, t, text, [control])


@settings(max_examples=8)
@given(seed=st.integers(0, 2**20), height=sides, width=sides, batch=st.integers(1, 2))
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_newborn_changes_nothing(
    unet: Any, newborns: dict[str, ControlNet], variant: str, seed: int, height: int, width: int, batch: int
) -> None:
    network = newborns[variant]
    z_t, t, text, _ = build_inputs(unet, batch, seed=seed)
    z_t = numbers(batch, 4, height, width, seed=seed)
    condition = numbers(batch, network.config.conditioning_channels, 8 * height, 8 * width, seed=seed).sigmoid()
    plain = unet(z_t, t, text).sample  # diffusers' own forward
    assert torch.equal(ControlledUNet(unet)(z_t, t, text), plain)
    assert torch.equal(predict(unet, network, (z_t, t, text, condition)), plain)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e4, 1e4])
@torch.no_grad()
def test_newborn_changes_nothing_for_any_condition(unet: Any, newborns: dict[str, ControlNet], value: float) -> None:
    z_t, t, text, condition = build_inputs(unet)
    given = (z_t, t, text, torch.full_like(condition, value))
    assert torch.equal(predict(unet, newborns["full"], given), unet(z_t, t, text).sample)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_newborn_changes_nothing_in_any_family(family: str) -> None:
    unet = build_unet(FAMILIES[family], seed=3)
    (z_t, t, text, condition), pooled, network = build_inputs(unet), build_pooled(unet), build_control(unet)
    controlled = ControlledUNet(unet)
    control = ActiveControl(network, network.encode_condition(condition))
    assert torch.equal(controlled(z_t, t, text, [control, control], pooled), controlled(z_t, t, text, added_conditions=pooled))


@torch.no_grad()
def test_residuals_at_birth_are_zero_everywhere(unet: Any, newborns: dict[str, ControlNet]) -> None:
    z_t, t, text, condition = build_inputs(unet)
    for name, network in newborns.items():
        given = condition[:, : network.config.conditioning_channels]
        assert not any(r.any() for r in network(z_t, t, text, given).values()), name


@pytest.mark.parametrize("variant", ["full", "lite"])
@torch.no_grad()
def test_gaussian_connections_break_it(unet: Any, variant: str) -> None:
    inputs = build_inputs(unet)
    changed = predict(unet, build_control(unet, connection="gaussian", variant=variant), inputs)
    plain = unet(*inputs[:3]).sample
    assert (changed - plain).std() > 0.1 * plain.std()


@pytest.mark.parametrize("zero", [0.0, -0.0])
@torch.no_grad()
def test_at_scale_zero_a_trained_network_changes_nothing_and_is_not_run(unet: Any, zero: float) -> None:
    inputs, network = build_inputs(unet), build_control(unet, seed=1)
    features, plain = network.encode_condition(inputs[3]), unet(*inputs[:3]).sample
    calls = count_calls(network)
    off = ActiveControl(network, features, torch.full((13,), zero))
    assert torch.equal(ControlledUNet(unet)(*inputs[:3], [off, off]), plain) and calls == []
    on = ActiveControl(network, features, torch.tensor([*[zero] * 12, 0.5]))
    assert not torch.equal(ControlledUNet(unet)(*inputs[:3], [on]), plain) and calls == [2]


@torch.no_grad()
def test_copy_starts_from_the_weights_of_the_base_and_shares_no_memory(unet: Any, newborns: dict[str, ControlNet]) -> None:
    of_base = unet.state_dict()
    copied = {name: tensor for name, tensor in newborns["full"].state_dict().items() if not name.startswith("controlnet_")}
    assert all(torch.equal(tensor, of_base[name]) for name, tensor in copied.items())
    assert all(tensor.data_ptr() != of_base[name].data_ptr() for name, tensor in copied.items())
    assert copied.keys() == {name for name in of_base if not name.startswith(("up_blocks.", "conv_norm_out.", "conv_out."))}
    assert all(p.requires_grad for p in newborns["full"].parameters())
