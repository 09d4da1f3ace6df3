"""What was made from weights notices any change of them, those that torch does not count at the next call."""

import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn

from zeroconv.control import ControlNet
from zeroconv.generation import Control, ControlPipeline, Output
from zeroconv.runtime.weights import Weights
from zeroconv.stable_diffusion import StableDiffusion


@pytest.fixture
def layers() -> nn.Sequential:
    found = nn.Sequential(nn.Linear(200, 300), nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8))
    packed = found.get_parameter("1.weight")
    packed.data = packed.data.contiguous(memory_format=torch.channels_last)
    return found


@torch.no_grad()
def test_a_counted_change_is_noticed_at_once(layers: nn.Sequential) -> None:
    weights = Weights([layers])
    assert weights.are_of(layers) and not weights.are_of(nn.Sequential(*layers))
    layers.get_parameter("0.weight").add_(1)
    assert not weights.are_of(layers)


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "1.weight", "2.running_mean"])
def test_a_change_that_nobody_counts_is_noticed_at_the_next_call(layers: nn.Sequential, name: str) -> None:
    weights = Weights([layers])
    layers.state_dict()[name].data.add_(0.5)
    Weights.look_again()
    assert not weights.are_of(layers)
    assert not weights.are_of(layers), "it stays noticed"


def test_numbers_that_are_none_are_no_change(layers: nn.Sequential) -> None:
    layers.get_parameter("0.weight").data.fill_(float("nan"))
    weights = Weights([layers, nn.Module()])
    Weights.look_again()
    assert weights.are_of(layers, weights.parts[1])


def test_plans_of_all_three_networks_follow() -> None:
    base, network = StableDiffusion.from_pretrained("tiny"), ControlNet.from_pretrained("tiny-canny")
    lines = Image.new("RGB", (64, 64))
    ImageDraw.Draw(lines).rectangle((10, 20, 50, 50), outline="white")
    pipeline, controls = ControlPipeline(base).optimize(runtime="plan"), [Control(network, lines)]

    def draw(one: ControlPipeline) -> Output:
        return one("a house", controls, size=(64, 64), num_inference_steps=1, seed=1)

    before = draw(pipeline)
    for part in (network, base.unet, base.vae.decoder):
        for parameter in part.parameters():
            parameter.data.mul_(1.005)
        found, fresh = draw(pipeline), draw(ControlPipeline(base).optimize(runtime="plan"))
        assert torch.equal(found.latents, fresh.latents)
        assert found.images[0].tobytes() == fresh.images[0].tobytes() != before.images[0].tobytes()
        before = found
