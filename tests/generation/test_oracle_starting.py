"""Independent oracle: diffusers' image-to-image and inpainting make the same latents from the same picture."""

from typing import Any

import pytest
import torch
from diffusers.pipelines.controlnet import pipeline_controlnet_img2img, pipeline_controlnet_inpaint
from diffusers.pipelines.controlnet import pipeline_controlnet_sd_xl_img2img as pipeline_xl
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as pipeline_plain
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from PIL import Image

from tests.generation.test_oracle import SCHEDULERS, SD
from tests.tiny import build_control, build_map, diffusers_twin
from zeroconv.diffusion import Sampler
from zeroconv.generation import Control, ControlPipeline, Output
from zeroconv.stable_diffusion import StableDiffusion

PROMPT, PICTURE = "a red house", build_map(seed=5)
ALL: dict[str, Any] = {**SCHEDULERS, "heun": lambda: HeunDiscreteScheduler(**SD, steps_offset=1)}
BARE: dict[str, Any] = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
HOLE = Image.new("L", (64, 64))
HOLE.paste(255, (16, 8, 48, 40))  # whole latents: diffusers looks at the first pixel of each


@pytest.fixture(autouse=True)
def mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours starts from the mean of the autoencoder's posterior; diffusers would draw from it."""
    for module in (pipeline_controlnet_img2img, pipeline_controlnet_inpaint, pipeline_xl, pipeline_plain):
        monkeypatch.setattr(module, "retrieve_latents", lambda found, *_, **__: found.latent_dist.mean)


def parts(base: StableDiffusion, sampler: Sampler) -> dict[str, Any]:
    """What every pipeline of diffusers is made of."""
    shared = {name: getattr(base, name) for name in ("vae", "text_encoder", "tokenizer", "unet")}
    return {**shared, "scheduler": ALL[sampler]()}


def compare(ours: Output, pipe: Any, **request: Any) -> None:
    """The latents to 1e-5 of their largest number."""
    pipe.set_progress_bar_config(disable=True)
    drawn = torch.Generator().manual_seed(7)
    latents = pipe(prompt=PROMPT, generator=drawn, output_type="latent", **request).images
    torch.testing.assert_close(ours.latents, latents, atol=1e-5 * max(1.0, latents.abs().max().item()), rtol=0)


@pytest.mark.parametrize(
    ("sampler", "strength", "guidance"),
    [
        ("ddim", 0.6, 7.5),
        pytest.param("dpm++2m", 1.0, 1.0, marks=pytest.mark.slow),
        pytest.param("euler", 0.35, 1.0, marks=pytest.mark.slow),
        ("heun", 0.5, 1.0),
    ],
)
def test_image_to_image_without_control(base: StableDiffusion, sampler: Sampler, strength: float, guidance: float) -> None:
    shared: dict[str, Any] = {"num_inference_steps": 8, "guidance_scale": guidance, "strength": strength}
    ours = ControlPipeline(base)(PROMPT, init_image=PICTURE, seed=7, sampler=sampler, **shared)
    pipe = pipeline_plain.StableDiffusionImg2ImgPipeline(**parts(base, sampler), **BARE)
    compare(ours, pipe, image=PICTURE, **shared)


def test_image_to_image_with_a_control_whose_window_counts_in_the_steps_that_are_run(base: StableDiffusion) -> None:
    network = build_control(base.unet, seed=1)
    controls = [Control(network, build_map(), 0.8, 0.2, 0.6)]  # of 5 steps the second and third
    shared: dict[str, Any] = {"num_inference_steps": 10, "guidance_scale": 5.0, "strength": 0.5}
    ours = ControlPipeline(base)(PROMPT, controls, init_image=PICTURE, seed=7, sampler="unipc", **shared)
    pipe = pipeline_controlnet_img2img.StableDiffusionControlNetImg2ImgPipeline(
        **parts(base, "unipc"), controlnet=diffusers_twin(network, base.unet), **BARE
    )
    window = {"controlnet_conditioning_scale": 0.8, "control_guidance_start": 0.2, "control_guidance_end": 0.6}
    compare(ours, pipe, image=PICTURE, control_image=build_map(), **window, **shared)


def test_image_to_image_of_xl_with_a_control(xl: StableDiffusion) -> None:
    network = build_control(xl.unet, seed=1)
    shared: dict[str, Any] = {"num_inference_steps": 6, "guidance_scale": 5.0, "strength": 0.5}
    controls = [Control(network, build_map(), 0.7)]
    ours = ControlPipeline(xl)(PROMPT, controls, negative_prompt="sea", init_image=PICTURE, seed=7, sampler="euler", **shared)
    second: dict[str, Any] = {"text_encoder_2": xl.text_encoder_2, "tokenizer_2": xl.tokenizer_2, "add_watermarker": False}
    pipe = pipeline_xl.StableDiffusionXLControlNetImg2ImgPipeline(
        **parts(xl, "euler"), **second, controlnet=diffusers_twin(network, xl.unet)
    )
    asked: dict[str, Any] = {"negative_prompt": "sea", "controlnet_conditioning_scale": 0.7, "control_guidance_end": 1.0}
    compare(ours, pipe, image=PICTURE, control_image=build_map(), **asked, **shared)


@pytest.mark.parametrize(
    ("sampler", "strength"),
    [
        pytest.param("ddim", 1.0, marks=pytest.mark.slow),
        ("dpm++2m", 0.5),
        pytest.param("euler", 0.75, marks=pytest.mark.slow),
    ],
)
def test_inpainting_with_a_control(base: StableDiffusion, sampler: Sampler, strength: float) -> None:
    network = build_control(base.unet, seed=1)
    shared: dict[str, Any] = {"num_inference_steps": 6, "guidance_scale": 4.0, "strength": strength}
    controls = [Control(network, build_map(), 0.8)]
    ours = ControlPipeline(base)(PROMPT, controls, init_image=PICTURE, mask_image=HOLE, seed=7, sampler=sampler, **shared)
    pipe = pipeline_controlnet_inpaint.StableDiffusionControlNetInpaintPipeline(
        **parts(base, sampler), controlnet=diffusers_twin(network, base.unet), **BARE
    )
    asked = {"control_image": build_map(), "controlnet_conditioning_scale": 0.8}
    compare(ours, pipe, image=PICTURE, mask_image=HOLE, **asked, **shared)
