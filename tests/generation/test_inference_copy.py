"""A pipeline runs networks in evaluation mode and in its dtype, and changes none of them."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from tests.tiny import build_control, build_inputs, build_map
from zeroconv.control import ControlNet
from zeroconv.generation import Control, ControlPipeline, GenerationRequest, generate, reproduce, save_images
from zeroconv.generation.inference_copy import prepare_for_inference
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion

CPU = torch.device("cpu")


@pytest.fixture
def network(unet: Any) -> ControlNet:
    return build_control(unet, seed=1)


class Counter:
    """Owns a forward hook, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def count(self, *_: object) -> None:
        """One more."""
        self.calls += 1


def modes(network: ControlNet) -> list[bool]:
    return [module.training for module in network.modules()]


def test_a_network_in_training_is_itself_and_in_its_modes_again_whatever_happens(network: ControlNet) -> None:
    network.train()
    network.mid_block.eval()
    before = modes(network)
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), prepare_for_inference([network, network], CPU, torch.float32) as ready:
            assert all(one is network for one in ready) and not any(modes(network))
            raise error
        assert modes(network) == before


def test_what_must_be_converted_is_a_copy_and_the_callers_stays(network: ControlNet) -> None:
    network.train()
    before = modes(network)
    with prepare_for_inference([network, network], CPU, torch.bfloat16) as (copy, twice):
        assert copy is twice and copy is not network and not any(modes(copy))
        assert {tensor.dtype for tensor in copy.parameters()} == {torch.bfloat16}
        assert modes(network) == before and {tensor.dtype for tensor in network.parameters()} == {torch.float32}
        assert copy.state_dict().keys() == network.state_dict().keys()
        gone = weakref.ref(copy.conv_in.weight)
    del copy, twice
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_hooks_are_called_and_attributes_of_any_kind_do_not_hinder(
    dtype: torch.dtype, network: ControlNet, base: StableDiffusion
) -> None:
    counter = Counter()
    network.train().mid_block.register_forward_hook(counter.count)
    network.mid_block.noted = network.get_parameter("conv_in.weight") * 2  # no leaf of the graph: `copy.deepcopy` refuses it
    before = modes(network)
    base = StableDiffusion.from_pretrained(base.name, dtype=dtype)
    ControlPipeline(base)("a red house", [Control(network, build_map())], num_inference_steps=2)
    assert counter.calls == 2 and modes(network) == before


def test_every_call_sees_the_newest_weights(network: ControlNet, base: StableDiffusion) -> None:
    pipeline = ControlPipeline(StableDiffusion.from_pretrained(base.name, dtype=torch.bfloat16))
    controls = [Control(network, build_map())]
    before = pipeline("a red house", controls, num_inference_steps=1).latents
    for parameter in network.parameters():
        parameter.data.mul_(1.5)  # raises no version
    after = pipeline("a red house", controls, num_inference_steps=1).latents
    fresh = ControlPipeline(pipeline.base)("a red house", controls, num_inference_steps=1).latents
    assert torch.equal(after, fresh) and not torch.equal(after, before)


def test_an_adopted_network_is_not_copied_and_gives_the_same_bits(network: ControlNet, base: StableDiffusion) -> None:
    pipeline = ControlPipeline(StableDiffusion.from_pretrained(base.name, dtype=torch.bfloat16))
    controls = [Control(network, build_map())]
    copied = pipeline("a red house", controls, num_inference_steps=1).latents
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert pipeline.adopt(network) is network and {tensor.dtype for tensor in network.parameters()} == {torch.bfloat16}
    with prepare_for_inference([network], CPU, pipeline.base.dtype) as (ready,):
        assert ready is network
    assert torch.equal(pipeline("a red house", controls, num_inference_steps=1).latents, copied)


def test_networks_that_a_request_opens_are_adopted(tmp_path: Path) -> None:
    lines = Image.new("RGB", (128, 128))
    ImageDraw.Draw(lines).rectangle((30, 40, 90, 100), outline="white")
    lines.save(tmp_path / "map.png")
    request = GenerationRequest.model_validate(
        {
            "base": {"name": "tiny", "dtype": "bfloat16", "device": "cpu"}, "prompt": "a house", "num_inference_steps": 1,
            "controls": [{"network": "tiny-canny", "condition": str(tmp_path / "map.png")}],
        }
    )  # fmt: skip
    opened: dict[str, ControlNet] = {}
    generate(request, opened=opened)
    assert {tensor.dtype for tensor in opened["tiny-canny"].parameters()} == {torch.bfloat16}


def test_a_picture_of_a_copied_network_is_made_again_without_a_word(tmp_path: Path) -> None:
    base, network = StableDiffusion.from_pretrained("tiny", dtype=torch.bfloat16), ControlNet.from_pretrained("tiny-canny")
    lines = Image.new("RGB", (128, 128))
    ImageDraw.Draw(lines).rectangle((30, 40, 90, 100), outline="white")
    controls, told = [Control(network, lines)], list[Message]()
    output = ControlPipeline(base)("a house", controls, num_inference_steps=1)
    (path,) = save_images(output, controls, tmp_path, base).pictures
    with listen(told.append):
        again, _, _ = reproduce(path)
    assert again.images[0].tobytes() == output.images[0].tobytes()
    assert not [message for message in told if message.code == "again.changed"]


def test_an_error_in_a_call_leaves_the_mode(network: ControlNet, base: StableDiffusion) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    network.train()
    with pytest.raises(KeyboardInterrupt):
        ControlPipeline(base)("a red house", [Control(network, build_map())], num_inference_steps=2, on_step=stop)
    assert all(modes(network))


@torch.no_grad()
def test_a_low_rank_copy_borrows_from_the_same_base(unet: Any) -> None:
    network = build_control(unet, seed=1, variant="lora", rank=4).train()
    z_t, t, text, condition = build_inputs(unet)
    with prepare_for_inference([network], CPU, torch.float32) as (ready,):
        ready.check_base(unet)
        ours = ready(z_t, t, text, condition)
    assert network.training
    theirs = network.eval()(z_t, t, text, condition)
    assert all(torch.equal(ours[site], theirs[site]) for site in theirs)
    with prepare_for_inference([network], CPU, torch.float64) as (ready,):
        ready.check_base(unet)
