"""Guidance on the controls by a scale of its own: its limits, how it is run, what is kept and what is said."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tiny import build_control, build_map
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.generation import Control, ControlPipeline, GenerationRequest
from zeroconv.generation.parameters_text import parameters_text
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion

CLOSE: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def network(base: StableDiffusion) -> ControlNet:
    """A ControlNet as after training."""
    return build_control(base.unet, seed=1).eval()


def make(base: StableDiffusion, network: ControlNet, prompt: Any = "a red house", scale: float = 1.0, **given: Any) -> Tensor:
    settings: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 4.0, "seed": 7, **given}
    pipeline = ControlPipeline(base).optimize(runtime=settings.pop("runtime", "torch"))
    controls = [Control(network, build_map(), scale=scale)] if scale else []
    return pipeline(prompt, controls, size=(64, 64), **settings).latents


def test_without_it_nothing_changes(base: StableDiffusion, network: ControlNet) -> None:
    assert torch.equal(make(base, network, control_guidance_scale=None), make(base, network))


def test_of_0_it_is_no_control(base: StableDiffusion, network: ControlNet) -> None:
    none = make(base, network, scale=0.0)
    assert not torch.allclose(make(base, network), none, **CLOSE)
    with listen(lambda _: None):
        torch.testing.assert_close(make(base, network, control_guidance_scale=0.0), none, **CLOSE)


def test_as_large_as_that_on_the_prompt_it_is_the_control_on_the_conditional_side(
    base: StableDiffusion, network: ControlNet
) -> None:
    one_side = make(base, network, weighting="condition-only")
    torch.testing.assert_close(make(base, network, control_guidance_scale=4.0), one_side, **CLOSE)
    for weighting in ("resolution", "decay"):  # the connections' weights are the same
        torch.testing.assert_close(
            make(base, network, control_guidance_scale=4.0, weighting=weighting),
            make(base, network, weighting=weighting),
            **CLOSE,
        )


def test_without_guidance_on_the_prompt(base: StableDiffusion, network: ControlNet) -> None:
    """γ = 1 is the controlled prediction; without a prompt any γ is the control on one side of classifier-free guidance."""
    plain = make(base, network, guidance_scale=1.0)
    torch.testing.assert_close(make(base, network, guidance_scale=1.0, control_guidance_scale=1.0), plain, **CLOSE)
    promptless = make(base, network, "", guidance_scale=4.0, weighting="condition-only")
    for scale in (1.0, 2.0):
        found = make(base, network, "", guidance_scale=scale, control_guidance_scale=4.0)
        torch.testing.assert_close(found, promptless, **CLOSE)


def test_the_stronger_the_farther_from_no_control(base: StableDiffusion, network: ControlNet) -> None:
    none = make(base, network, scale=0.0)
    apart = [float((make(base, network, control_guidance_scale=scale) - none).norm()) for scale in (0.5, 1.0, 2.0)]
    assert apart[0] < apart[1] < apart[2]


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_plans_and_batches_compute_the_same(base: StableDiffusion, network: ControlNet, guidance_scale: float) -> None:
    prompts: Any = ["a red house", "two trees"]
    settings: dict[str, Any] = {"guidance_scale": guidance_scale, "control_guidance_scale": 2.0, "negative_prompt": "fog"}
    alone = make(base, network, prompts, **settings)
    torch.testing.assert_close(make(base, network, prompts, batch_size=2, **settings), alone, **CLOSE)
    torch.testing.assert_close(make(base, network, prompts, runtime="plan", **settings), alone, **CLOSE)


def test_a_saved_request_says_it_and_wrong_numbers_are_refused(base: StableDiffusion, network: ControlNet) -> None:
    control = Control(network, build_map())
    output = ControlPipeline(base)("a house", [control], num_inference_steps=1, control_guidance_scale=2.5)
    assert GenerationRequest.model_validate_json(output.requests[0].model_dump_json()).control_guidance_scale == 2.5
    assert "CFG scale: 7.5, Control CFG scale: 2.5, Seed: 0" in parameters_text(output.requests[0])
    with pytest.raises(InputError, match="control_guidance_scale is nan; expected a finite number, usually 1 to 10"):
        ControlPipeline(base)("a house", [control], control_guidance_scale=float("nan"))


def test_where_it_has_no_effect_that_is_said(base: StableDiffusion, network: ControlNet) -> None:
    heard: list[Message] = []
    with listen(heard.append):
        ControlPipeline(base)("a house", num_inference_steps=1, control_guidance_scale=2.0)
        make(base, network, num_inference_steps=1, control_guidance_scale=0.0)
    assert [message.code for message in heard] == ["no-effect.control-guidance"] * 2
