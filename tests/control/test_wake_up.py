"""Training: gradients wake up in order, and the locked U-Net stays as it was (sections 3.1 and 3.2)."""

from typing import Any

import pytest
import torch

from tests.tiny import build_control, build_inputs, build_unet, copies, numbers, unchanged
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet


def train(controlled: ControlledUNet, network: ControlNet, steps: int, side: int = 16) -> list[set[str]]:
    """A few optimizer steps on one example; the names of the parameters that got a gradient at each."""
    z_t, t, text, condition = build_inputs(controlled.unet, batch=1, side=side)
    wanted, awake = numbers(*z_t.shape, seed=9), []
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        control = ActiveControl(network, network.encode_condition(condition))
        (controlled(z_t, t, text, [control]) - wanted).square().mean().backward()
        awake.append({name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()})
        optimiser.step()
    return awake


@pytest.fixture(scope="module")
def own_unet() -> Any:
    """A U-Net of this file's own, which training must not change."""
    return build_unet(seed=4)


def names(network: ControlNet, *starts: str) -> set[str]:
    return {name for name, _ in network.named_parameters() if name.startswith(starts)}


def test_gradients_wake_up_in_the_order_of_the_paper(own_unet: Any) -> None:
    network = build_control(own_unet)
    awake = train(ControlledUNet(own_unet), network, 3)
    output = names(network, "controlnet_down_blocks.", "controlnet_mid_block.")
    entrance = names(network, "controlnet_cond_embedding.conv_out.")
    path = names(network, "controlnet_cond_embedding.") - entrance
    everything = names(network, "")
    copy = everything - output - entrance - path
    assert len(output) == 26 and len(copy) > 100 and len(path) == 14
    assert awake[0] == output
    assert awake[1] == output | copy | entrance
    assert awake[2] == everything


def test_with_gaussian_connections_everything_is_awake_at_once(own_unet: Any) -> None:
    network = build_control(own_unet, connection="gaussian")
    assert train(ControlledUNet(own_unet), network, 1)[0] == names(network, "")


@pytest.mark.parametrize("settings", [{}, {"variant": "lite"}, {"condition_encoder": "paper"}, {"connection": "gaussian"}])
def test_locked_unet_gets_no_gradient_and_stays_bit_equal(own_unet: Any, settings: dict[str, Any]) -> None:
    before = copies(own_unet.state_dict().items())
    controlled, network = ControlledUNet(own_unet), build_control(own_unet, **settings)
    born = copies(network.state_dict().items())
    train(controlled, network, 2, side=8)
    assert all(p.grad is None and not p.requires_grad for p in own_unet.parameters())
    assert unchanged(own_unet, before) and not own_unet.training
    assert not unchanged(network, born)


def test_training_mode_is_not_for_the_locked_unet(own_unet: Any) -> None:
    controlled = ControlledUNet(own_unet).train()
    assert not any(module.training for module in controlled.modules())


def test_no_gradient_is_computed_inside_the_locked_encoder(own_unet: Any) -> None:
    from zeroconv.stable_diffusion import encode

    z_t, t, text, _ = build_inputs(own_unet)
    ControlledUNet(own_unet)
    encoded = encode(own_unet, z_t, t, text)
    assert not any(tensor.requires_grad for tensor in (*encoded.skips, encoded.middle, encoded.embedding))


def test_loss_falls(own_unet: Any) -> None:
    network, controlled = build_control(own_unet), ControlledUNet(own_unet)
    z_t, t, text, condition = build_inputs(own_unet, batch=1)
    wanted, losses = numbers(*z_t.shape, seed=9), []
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(8):
        optimiser.zero_grad()
        control = ActiveControl(network, network.encode_condition(condition))
        loss = (controlled(z_t, t, text, [control]) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
