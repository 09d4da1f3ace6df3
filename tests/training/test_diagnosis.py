"""A control that cannot take hold is told why, and one that can is not."""

from typing import Any

import pytest
import torch

from tests.tiny import build_control, build_inputs
from tests.training.conftest import Settings
from zeroconv.control import ControlNet
from zeroconv.training import Event, Message, Trainer, train
from zeroconv.training.probing import diagnosis as module
from zeroconv.training.probing.diagnosis import diagnose, diagnose_rate


def codes(network: ControlNet, step: int = 1000, alike: bool = False) -> list[str]:
    maps = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return [message.code for message in diagnose(network, step, maps[:1].repeat(2, 1, 1, 1) if alike else maps)]


def test_a_trained_network_has_nothing_to_say(unet: Any) -> None:
    assert codes(build_control(unet, seed=1)) == []


def test_at_initialisation_nothing_is_said_and_a_thousand_steps_later_everything(unet: Any) -> None:
    assert codes(build_control(unet), step=999) == []
    assert codes(build_control(unet)) == ["run.dead-connection", "run.blind-encoder"]


def test_a_dead_connection_is_named(unet: Any) -> None:
    network = build_control(unet, seed=1)
    for layer in (network.controlnet_down_blocks[4], network.controlnet_mid_block):
        for parameter in layer.parameters():
            parameter.data.zero_()
    maps = torch.rand(2, 3, 64, 64)
    (message,) = diagnose(network, 1500, maps)
    assert message.text.startswith("2 of 13 connections are exactly zero after 1500 steps (number 4, the middle one)")


def test_an_encoder_that_sees_nothing_is_said(unet: Any) -> None:
    network = build_control(unet, seed=1)
    assert codes(network, alike=True) == ["run.blind-encoder"]
    encoder: Any = network.controlnet_cond_embedding
    for parameter in encoder.conv_in.parameters():
        parameter.data.zero_()
    assert codes(network) == ["run.blind-encoder"]


@pytest.mark.parametrize("rate", [1e-3 / 29, 1e-3, 29e-3])
def test_usual_rates_are_not_spoken_of(rate: float) -> None:
    assert diagnose_rate(rate, 1e-3) is None


def test_rates_that_are_far_off_are(settings: Settings) -> None:
    low, high = diagnose_rate(1e-6, 1e-3), diagnose_rate(1.0, 1e-5)
    assert low is not None and "learning_rate 1e-06 is 1,000 times below 0.001" in low.text
    assert high is not None and "100,000 times above 1e-05" in high.text and "may diverge" in high.text
    events: list[Event] = []
    train(settings(steps=1, learning_rate=1e-7), events.append)
    assert [event.code for event in events if isinstance(event, Message)] == ["run.unusual-rate"]


def test_a_run_says_it_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose gradient never comes, as when it is cut off by mistake."""
    monkeypatch.setattr(module, "AFTER", 2)
    events: list[Event] = []
    trainer = Trainer(settings(learning_rate=1e-2), events.append)
    for parameter in trainer.network.controlnet_mid_block.parameters():
        parameter.requires_grad_(False)
    trainer.fit()
    told = [event.text for event in events if isinstance(event, Message) and event.code == "run.dead-connection"]
    assert len(told) == 1 and "a connection is exactly zero after 2 steps (the middle one)" in told[0]


def test_inputs_of_this_test_reach_a_network(unet: Any) -> None:
    """What the tests above call trained does control."""
    z_t, t, text, condition = build_inputs(unet)
    network = build_control(unet, seed=1)
    first = network(z_t, t, text, condition).values()
    other = network(z_t, t, text, 1 - condition).values()
    assert any(not torch.allclose(a, b, atol=1e-4) for a, b in zip(first, other, strict=True))
