"""Independent oracle for the other families: diffusers' pipelines for SDXL and for v-prediction make the same pictures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl import StableDiffusionXLControlNetPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

from tests.generation.test_oracle import SCHEDULERS, SD, compare
from tests.tiny import NOISE, SD21, build_base, build_control, build_map, count_calls, diffusers_twin
from zeroconv.control import ControlNet
from zeroconv.control.weighting import Weighting
from zeroconv.diffusion import Sampler
from zeroconv.generation import Control, ControlPipeline
from zeroconv.stable_diffusion import StableDiffusion

PROMPT = "a red house"


@pytest.fixture(scope="module")
def network(xl: StableDiffusion) -> ControlNet:
    """A ControlNet for SDXL as after training."""
    return build_control(xl.unet, seed=1)


def theirs(xl: StableDiffusion, networks: list[ControlNet], sampler: Sampler) -> Any:
    """The pipeline of diffusers around the same parts."""
    twins: list[Any] = [diffusers_twin(network, xl.unet) for network in networks]
    pipe: Any = StableDiffusionXLControlNetPipeline(
        vae=xl.vae,
        text_encoder=xl.text_encoder,
        text_encoder_2=xl.text_encoder_2,
        tokenizer=xl.tokenizer,
        tokenizer_2=xl.tokenizer_2,
        unet=xl.unet,
        controlnet=twins[0] if len(twins) == 1 else MultiControlNetModel(twins),
        scheduler=SCHEDULERS[sampler](),
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize(("sampler", "negative"), [("ddim", ""), ("dpm++2m", "sea")])
def test_xl_with_guidance(xl: StableDiffusion, network: ControlNet, sampler: Sampler, negative: str) -> None:
    """A negative prompt that is left out is told as zeros on both sides."""
    controls = [Control(network, build_map(), 0.8)]
    ours = ControlPipeline(xl)(PROMPT, controls, num_inference_steps=6, negative_prompt=negative, seed=7, sampler=sampler)
    compare(
        xl,
        ours,
        theirs(xl, [network], sampler),
        prompt=PROMPT,
        negative_prompt=negative or None,
        image=build_map(),
        guidance_scale=7.5,
        controlnet_conditioning_scale=0.8,
    )


def test_xl_without_guidance_by_two_controls(xl: StableDiffusion, network: ControlNet) -> None:
    other, maps = build_control(xl.unet, seed=2), [build_map(), build_map(seed=1)]
    controls = [Control(network, maps[0], 1.0, 0.0, 0.6), Control(other, maps[1], 0.5)]
    ours = ControlPipeline(xl)(PROMPT, controls, num_inference_steps=5, seed=7, sampler="ddim", guidance_scale=1)
    compare(
        xl,
        ours,
        theirs(xl, [network, other], "ddim"),
        prompt=PROMPT,
        image=maps,
        guidance_scale=1.0,
        controlnet_conditioning_scale=[1.0, 0.5],
        control_guidance_start=[0.0, 0.0],
        control_guidance_end=[0.6, 1.0],
    )


@pytest.mark.parametrize("weighting", ["uniform", "resolution", "decay", "condition-only"])
def test_xl_pictures_alone_and_together(xl: StableDiffusion, network: ControlNet, weighting: Weighting) -> None:
    """Ten connections, every weighting, and the conditional rows of the pooled text where only those are asked."""
    pipe, maps = ControlPipeline(xl), [build_map(seed=seed) for seed in range(2)]
    calls = count_calls(network)
    request: dict[str, Any] = {"weighting": weighting, "num_inference_steps": 2, "seed": 7}
    each, together = (pipe([PROMPT, "sea"], [Control(network, maps)], batch_size=size, **request) for size in (1, 2))
    scale = each.latents.abs().max().item()
    torch.testing.assert_close(together.latents, each.latents, atol=1e-5 * scale, rtol=1e-4)
    assert calls == ([2] * 4 + [4] * 2 if weighting == "uniform" else [1] * 4 + [2] * 2)
    assert each.images[0].size == (xl.size, xl.size) == (64, 64)


def test_xl_is_told_the_size_of_the_picture(xl: StableDiffusion) -> None:
    told: list[torch.Tensor] = []
    handle = xl.unet.add_time_proj.register_forward_hook(lambda _module, args, _output: told.append(args[0]))
    ControlPipeline(xl)(PROMPT, size=(72, 40), num_inference_steps=1)
    handle.remove()
    assert told[0].view(2, 6).tolist() == [[40, 72, 0, 0, 40, 72]] * 2


V: dict[str, Any] = {**SD, "prediction_type": "v_prediction"}
V_SCHEDULERS: dict[str, Any] = {
    "ddim": lambda: DDIMScheduler(**V, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    "euler": lambda: EulerDiscreteScheduler(**V, steps_offset=1),
}


@pytest.mark.parametrize("sampler", V_SCHEDULERS)
def test_a_base_that_predicts_v(sampler: Sampler, tmp_path: Path) -> None:
    base = build_base(tmp_path / "v", config=SD21, noise={**NOISE, "prediction_type": "v_prediction"})
    network = build_control(base.unet, seed=1)
    pipe: Any = StableDiffusionControlNetPipeline(
        vae=base.vae,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=base.unet,
        controlnet=diffusers_twin(network, base.unet),
        scheduler=V_SCHEDULERS[sampler](),
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    ours = ControlPipeline(base)(PROMPT, [Control(network, build_map())], num_inference_steps=6, seed=7, sampler=sampler)
    compare(base, ours, pipe, prompt=PROMPT, image=build_map(), guidance_scale=7.5)
