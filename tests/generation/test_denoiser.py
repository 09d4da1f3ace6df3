"""The denoiser of a call: the controlled U-Net, its text and its controls; guidance around it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tiny import build_control, build_inputs, build_map, count_calls
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet, StepWindow
from zeroconv.diffusion import CFGDenoiser, build_scheduler, initial_noise, sample_latents
from zeroconv.generation import Control, ControlledDenoiser, ControlPipeline
from zeroconv.generation.denoiser import activate, stack_maps
from zeroconv.generation.guidance import Guidance
from zeroconv.images import to_tensor
from zeroconv.stable_diffusion import StableDiffusion

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def inputs(unet: Any) -> Inputs:
    return build_inputs(unet)


@pytest.fixture(scope="module")
def network(unet: Any) -> ControlNet:
    """A ControlNet as after training."""
    return build_control(unet, seed=1).eval()


@torch.no_grad()
def test_without_controls_it_is_the_plain_unet_bit_by_bit(unet: Any, inputs: Inputs) -> None:
    z_t, t, text, _ = inputs
    assert torch.equal(ControlledDenoiser(ControlledUNet(unet), text)(z_t, t[0], 0), unet(z_t, t[0], text).sample)


@torch.no_grad()
def test_a_control_of_scale_0_is_bitwise_nothing(unet: Any, network: ControlNet, inputs: Inputs) -> None:
    z_t, t, text, _ = inputs
    control = Control(network, build_map(), scale=0.0)
    off = activate([control], network, [stack_maps(control, network, range(2))], "uniform", Guidance())
    calls, plain = count_calls(network), ControlledDenoiser(ControlledUNet(unet), text)
    assert torch.equal(ControlledDenoiser(ControlledUNet(unet), text, [off])(z_t, t[0], 0), plain(z_t, t[0], 0))
    assert calls == []


@torch.no_grad()
def test_a_control_acts_in_its_window_alone(unet: Any, network: ControlNet, inputs: Inputs) -> None:
    z_t, t, text, condition = inputs
    control = ActiveControl(network, network.encode_condition(condition), window=StepWindow(0.25, 0.75))
    denoiser = ControlledDenoiser(ControlledUNet(unet), text, [control], steps=4)
    plain = ControlledDenoiser(ControlledUNet(unet), text, steps=4)
    acts = [not torch.equal(denoiser(z_t, t[0], step), plain(z_t, t[0], step)) for step in range(4)]
    assert acts == [False, True, True, False]


@torch.no_grad()
def test_guidance_of_1_is_the_conditional_prediction(unet: Any, network: ControlNet, inputs: Inputs) -> None:
    z_t, t, text, condition = inputs
    features = network.encode_condition(condition)
    both = ActiveControl(network, torch.cat([features, features]))
    guided = CFGDenoiser(ControlledDenoiser(ControlledUNet(unet), torch.cat([text.flip(0), text]), [both]), 1.0)
    alone = ControlledDenoiser(ControlledUNet(unet), text, [ActiveControl(network, features)])
    torch.testing.assert_close(guided(z_t, t[0], 0), alone(z_t, t[0], 0), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_pipeline_is_the_composition(base: StableDiffusion) -> None:
    """What `ControlPipeline` makes, by hand: sample(CFG(controlled U-Net with text and control))."""
    network = build_control(base.unet, seed=1).eval()
    made = ControlPipeline(base)("a red house", [Control(network, build_map())], num_inference_steps=2, seed=7)
    features = network.encode_condition(to_tensor(build_map())[None])
    control = ActiveControl(network, torch.cat([features, features]))
    text = base.encode_text(["", "a red house"]).hidden_states
    denoiser = CFGDenoiser(ControlledDenoiser(ControlledUNet(base.unet), text, [control], steps=2), 7.5)
    z = initial_noise(base.latent_shape(64, 64), [7])
    latents = sample_latents(denoiser, z, build_scheduler("dpm++2m", base.scheduler_config), 2, [7])
    assert torch.equal(latents, made.latents)
