"""The LoRA for few steps that comes with the package: what it is, that it works, and what is said of other settings."""

from pathlib import Path
from typing import Any

import pytest
import torch
from experiments.tiny.train_few_step import LowRank
from torch import Tensor

from zeroconv import ControlPipeline, StableDiffusion
from zeroconv.checkpoints import embedded_names, resolve, write_safetensors
from zeroconv.generation import BaseRequest, GenerationRequest, generate
from zeroconv.generation.few_steps import FEW_STEPS, few_step_messages
from zeroconv.messages import Message, listen
from zeroconv.world import HELD_OUT_SEED, make

SCENES = [make(HELD_OUT_SEED + 500 + i) for i in range(3)]
ONE_STEP: dict[str, Any] = {"num_inference_steps": 1, "guidance_scale": 1.0, "sampler": "lcm"}
GUIDED: dict[str, Any] = {**ONE_STEP, "guidance_scale": 4.0}


@pytest.fixture(scope="module")
def quick() -> StableDiffusion:
    """The tiny base with the LoRA."""
    base = StableDiffusion.from_pretrained("tiny")
    base.add_lora(FEW_STEPS)
    return base


def test_it_is_a_small_lora_of_the_package_and_nothing_else() -> None:
    assert embedded_names("LoRA") == [FEW_STEPS]
    assert all(FEW_STEPS not in embedded_names(kind) for kind in ("base", "ControlNet", "annotator", "CLIP"))
    assert resolve(FEW_STEPS, "LoRA").stat().st_size <= 900 * 1024


def test_the_trained_updates_are_what_the_file_adds(tmp_path: Path) -> None:
    base = StableDiffusion.from_pretrained("tiny")
    before = {name: parameter.detach().clone() for name, parameter in base.unet.named_parameters()}
    updates = LowRank(base.unet, seed=0)
    assert all(torch.equal(weight, before[name.removeprefix("unet.")]) for name, weight in updates.merged().items())
    for name, factor in updates.factors.items():
        if name.endswith("up"):
            torch.nn.init.normal_(factor, std=0.02)
    write_safetensors(tmp_path / "few.safetensors", updates.tensors())
    expected = before | {name.removeprefix("unet."): weight.detach().clone() for name, weight in updates.merged().items()}
    report = base.add_lora(tmp_path / "few.safetensors")
    assert report.modules == {"unet": len(updates.weights)}
    for name, parameter in base.unet.named_parameters():
        assert torch.allclose(parameter, expected[name], atol=1e-4), name


def test_one_step_lands_nearer_to_where_guidance_leads(quick: StableDiffusion) -> None:
    plain = StableDiffusion.from_pretrained("tiny")
    prompts = [scene.caption for scene in SCENES]

    def end(base: StableDiffusion, **settings: Any) -> Tensor:
        return ControlPipeline(base)(prompts, batch_size=len(prompts), **settings).latents

    taught = end(plain, num_inference_steps=7, guidance_scale=4.0)
    before, after = (end(base, **ONE_STEP) for base in (plain, quick))
    assert (after - taught).norm() < 0.93 * (before - taught).norm()


def test_a_request_names_it_and_makes_the_picture_again(quick: StableDiffusion) -> None:
    heard = list[Message]()
    with listen(heard.append):
        base = BaseRequest.model_validate({"name": "tiny", "loras": [{"path": FEW_STEPS}], "device": "cpu"})
        request = GenerationRequest(prompt="a red house", base=base, **ONE_STEP)
        output, _ = generate(request)
    assert [message.code for message in heard] == ["lora.merged"]
    assert output.requests[0].base.loras == base.loras
    again = ControlPipeline(quick)("a red house", **ONE_STEP)
    assert torch.equal(output.latents, again.latents)


@pytest.mark.parametrize(
    ("loras", "guidance", "said"),
    [
        ([[FEW_STEPS, 1.0]], 1.0, False),
        ([[FEW_STEPS, 1.0]], 2.0, False),
        ([["style.safetensors", 1.0], [FEW_STEPS, 0.8]], 7.5, True),
        ([["style.safetensors", 1.0]], 7.5, False),
        ([[FEW_STEPS, 1.0], [FEW_STEPS, -1.0]], 7.5, False),
        ([], 7.5, False),
    ],
)
def test_guidance_on_top_of_it_is_said(loras: list[list[Any]], guidance: float, said: bool) -> None:
    found = few_step_messages({"loras": loras}, guidance)
    assert [message.code for message in found] == (["few-steps.guidance"] if said else [])


def test_the_pipeline_says_so(quick: StableDiffusion) -> None:
    heard = list[Message]()
    with listen(heard.append):
        ControlPipeline(quick)("a red house", **GUIDED)
    assert [message.code for message in heard] == ["few-steps.guidance"]
