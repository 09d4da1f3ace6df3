"""Controls and encoder computed in some steps only: what is computed when, the limits, and what is refused."""

from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from tests.tiny import COUNTERS
from zeroconv import ControlNet, ControlPipeline, StableDiffusion
from zeroconv.control import ActiveControl, ControlledUNet
from zeroconv.control.reuse import Reuse
from zeroconv.errors import InputError
from zeroconv.generation import Control, GenerationRequest
from zeroconv.runtime.planned_unet import PlannedUNet

MAP = Image.new("RGB", (128, 128))
for corner in range(10, 50, 8):
    ImageDraw.Draw(MAP).rectangle((corner, corner, 120 - corner, 110 - corner), outline="white")


@pytest.fixture(scope="module")
def base() -> StableDiffusion:
    return StableDiffusion.from_pretrained("tiny")


@pytest.fixture(scope="module")
def network() -> ControlNet:
    return ControlNet.from_pretrained("tiny-canny")


def count_parts(network: ControlNet, base: StableDiffusion) -> dict[str, int]:
    """How often the control, the encoder and the decoder are run from now on in this test."""
    seen = {"control": 0, "encoder": 0, "decoder": 0}

    def counted(module: Any, name: str) -> None:
        COUNTERS.append(module.register_forward_hook(lambda *_: seen.update({name: seen[name] + 1})))

    counted(network.controlnet_mid_block, "control")
    counted(base.unet.conv_in, "encoder")
    counted(base.unet.conv_out, "decoder")
    return seen


def make(base: StableDiffusion, network: ControlNet, **settings: Any) -> Tensor:
    pipeline, control = ControlPipeline(base), Control(network, MAP)
    return pipeline("a red house", [control], num_inference_steps=6, guidance_scale=4.0, seed=3, **settings).latents


def test_what_is_computed_in_how_many_steps() -> None:
    base, network = StableDiffusion.from_pretrained("tiny"), ControlNet.from_pretrained("tiny-canny")
    seen = count_parts(network, base)
    for settings, expected in (
        ({}, (6, 6, 6)),
        ({"control_every": 2}, (3, 6, 6)),
        ({"control_every": 4}, (2, 6, 6)),
        ({"encoder_every": 3}, (2, 2, 6)),
        ({"encoder_every": 2, "control_every": 4}, (2, 3, 6)),
        ({"control_every": 999}, (1, 6, 6)),
    ):
        seen.update(control=0, encoder=0, decoder=0)
        make(base, network, **settings)
        assert tuple(seen.values()) == expected, settings


def test_nothing_is_used_again_unless_asked_for(base: StableDiffusion, network: ControlNet) -> None:
    exact = make(base, network)
    assert torch.equal(make(base, network, control_every=1, encoder_every=1), exact)
    apart = [float((make(base, network, control_every=every) - exact).norm()) for every in (2, 6)]
    assert 0 < apart[0] < apart[1] < float((make(base, network) - make(base, network, encoder_every=6)).norm())


@torch.no_grad()
def test_a_control_that_begins_or_ends_is_seen_at_once(base: StableDiffusion, network: ControlNet) -> None:
    z, text = torch.randn(2, 8, 16, 16), torch.randn(2, 5, base.unet.config.cross_attention_dim)
    control = ActiveControl(network, network.encode_condition(torch.rand(1, 3, 128, 128)))
    for run in (ControlledUNet(base.unet), PlannedUNet(base.unet)):
        reuse = Reuse(control_every=5, encoder_every=5)
        run(z, 900, text, [], None, None, reuse)
        for step, acting in ((1, [control]), (2, [])):
            reuse.step = step
            expected = run(z, 900, text, acting)
            assert torch.allclose(run(z, 900, text, acting, None, None, reuse), expected, atol=1e-5)


@torch.no_grad()
def test_plans_use_the_same_again(base: StableDiffusion, network: ControlNet) -> None:
    control = ActiveControl(network, network.encode_condition(torch.rand(1, 3, 128, 128)))
    text = 0.3 * torch.randn(2, 5, base.unet.config.cross_attention_dim)  # about as far apart as real text states
    ways = [(run, Reuse(2, 3)) for run in (ControlledUNet(base.unet), PlannedUNet(base.unet))]
    for step in range(6):
        z, t, results = torch.randn(2, 8, 16, 16), 900 - 100 * step, list[Tensor]()
        for run, reuse in ways:
            reuse.step = step
            results.append(run(z, t, text, [control], None, None, reuse))
        assert float((results[0] - results[1]).norm() / results[0].norm()) < 1e-5


def test_a_saved_request_says_it_and_wrong_numbers_are_refused(base: StableDiffusion, network: ControlNet) -> None:
    output = ControlPipeline(base)("a house", [Control(network, MAP)], num_inference_steps=2, control_every=2)
    again = GenerationRequest.model_validate_json(output.requests[0].model_dump_json())
    assert (again.control_every, again.encoder_every) == (2, 1)
    with pytest.raises(InputError, match="control_every is 0; expected greater than or equal to 1"):
        ControlPipeline(base)("a house", control_every=0)
    with pytest.raises(InputError, match="encoder_every is 0; expected greater than or equal to 1"):
        ControlPipeline(base)("a house", encoder_every=0)
