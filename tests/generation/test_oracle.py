"""Independent oracle: `StableDiffusionControlNetPipeline` makes the same picture from the same latents."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from tests.tiny import build_control, build_map, diffusers_twin, numbers
from zeroconv.control import ControlNet
from zeroconv.diffusion import Sampler, initial_noise
from zeroconv.generation import Control, ControlPipeline, Output
from zeroconv.images import to_tensor
from zeroconv.stable_diffusion import StableDiffusion

# The noise of Stable Diffusion and the settings its model cards give for each scheduler.
SD: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SCHEDULERS: dict[str, Any] = {
    "ddim": lambda: DDIMScheduler(**SD, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
    "dpm++2m": lambda: DPMSolverMultistepScheduler(**SD, steps_offset=1),
    "euler": lambda: EulerDiscreteScheduler(**SD, steps_offset=1),
    "unipc": lambda: UniPCMultistepScheduler(**SD, steps_offset=1),
}


@pytest.fixture(scope="module")
def network(base: StableDiffusion) -> ControlNet:
    """A ControlNet as after training, gentle enough that twenty steps of random weights stay near the noise."""
    return build_control(base.unet, seed=1)


def theirs(base: StableDiffusion, networks: list[ControlNet], sampler: Sampler) -> Any:
    twins: list[Any] = [diffusers_twin(network, base.unet) for network in networks]
    pipe: Any = StableDiffusionControlNetPipeline(
        vae=base.vae,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=base.unet,
        controlnet=twins[0] if len(twins) == 1 else MultiControlNetModel(twins),
        scheduler=SCHEDULERS[sampler](),
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def compare(base: StableDiffusion, ours: Output, pipe: Any, **request: Any) -> None:
    """The latents to 1e-4 of their largest number, then the pictures to 1e-4 and one grey level."""
    start = initial_noise(base.latent_shape(64, 64), [7])
    request = {"num_inference_steps": ours.requests[0].num_inference_steps, "latents": start, **request}
    latents = pipe(**request, output_type="latent").images
    scale = max(1.0, latents.abs().max().item())
    torch.testing.assert_close(ours.latents, latents, atol=1e-4 * scale, rtol=0)
    picture = pipe.image_processor.postprocess(
        pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample, output_type="pt"
    )[0]
    torch.testing.assert_close(base.decode(ours.latents)[0], picture, atol=1e-4, rtol=0)
    assert (to_tensor(ours.images[0]) - picture).abs().max() <= 0.5 / 255 + 1e-4
    assert picture.std() > 0.01  # it is a picture, not one clipped colour


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m"])
def test_twenty_steps_with_guidance_and_a_negative_prompt(base: StableDiffusion, network: ControlNet, sampler: Sampler) -> None:
    ours = ControlPipeline(base)("a red house", [Control(network, build_map())], negative_prompt="sea", seed=7, sampler=sampler)
    compare(
        base,
        ours,
        theirs(base, [network], sampler),
        prompt="a red house",
        negative_prompt="sea",
        image=build_map(),
        guidance_scale=7.5,
    )


@pytest.mark.parametrize("sampler", ["euler", "unipc"])
def test_without_guidance(base: StableDiffusion, network: ControlNet, sampler: Sampler) -> None:
    ours = ControlPipeline(base)(
        "a red house", [Control(network, build_map(), 0.7)], num_inference_steps=8, guidance_scale=1, seed=7, sampler=sampler
    )
    request = {"prompt": "a red house", "image": build_map(), "guidance_scale": 1.0, "controlnet_conditioning_scale": 0.7}
    compare(base, ours, theirs(base, [network], sampler), **request)


def test_two_controls_with_scales_and_step_windows(base: StableDiffusion, network: ControlNet) -> None:
    other, maps = build_control(base.unet, seed=2), [build_map(), build_map(seed=1)]
    controls = [Control(network, maps[0], 1.0, 0.0, 0.6), Control(other, maps[1], 0.5, 0.25, 1.0)]
    ours = ControlPipeline(base)("a red house", controls, num_inference_steps=8, seed=7, sampler="ddim", guidance_scale=5.0)
    compare(
        base,
        ours,
        theirs(base, [network, other], "ddim"),
        prompt="a red house",
        image=maps,
        guidance_scale=5.0,
        controlnet_conditioning_scale=[1.0, 0.5],
        control_guidance_start=[0.0, 0.25],
        control_guidance_end=[0.6, 1.0],
    )


def test_decay_is_guess_mode_but_for_rounded_weights(base: StableDiffusion, network: ControlNet) -> None:
    """diffusers spaces the weights evenly from 0.1 to 1 in the exponent, the authors' code has 0.825^(12-i)."""
    twin, z_t, text = diffusers_twin(network, base.unet), numbers(1, 4, 8, 8), numbers(1, 5, 16)
    condition = to_tensor(build_map())[None]
    with torch.no_grad():
        skips, middle = twin(z_t, 5, text, condition, guess_mode=True, return_dict=False)
        residuals = network(z_t, 5, text, condition).scale(torch.tensor([0.825 ** (12 - i) for i in range(13)]))
    for mine, other in zip(residuals.values(), (*skips, middle), strict=True):
        torch.testing.assert_close(mine, other, rtol=0.007, atol=1e-5)


def test_diffusers_opens_the_folder_of_the_base_and_makes_the_same_picture(base: StableDiffusion, base_folder: Path) -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

    pipe: Any = StableDiffusionPipeline.from_pretrained(
        base_folder, safety_checker=None, feature_extractor=None, requires_safety_checker=False, low_cpu_mem_usage=False
    )
    pipe.scheduler = SCHEDULERS["ddim"]()
    pipe.set_progress_bar_config(disable=True)
    ours = ControlPipeline(base)("a red house", num_inference_steps=4, seed=7, sampler="ddim")
    compare(base, ours, pipe, prompt="a red house", guidance_scale=7.5)
