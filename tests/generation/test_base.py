"""The base of a request is opened as it says, and what is wrong with it names its field."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.loras import Factors, kohya
from zeroconv.checkpoints import write_safetensors
from zeroconv.errors import InputError
from zeroconv.generation import BaseRequest, GenerationRequest, generate, open_base
from zeroconv.generation.base import describe_base
from zeroconv.messages import listen
from zeroconv.stable_diffusion import StableDiffusion


def test_a_base_is_described_and_opened_again(base: StableDiffusion) -> None:
    opened = open_base(BaseRequest(name=base.name, device="cpu", dtype="bfloat16"))
    assert (opened.device.type, opened.dtype) == ("cpu", torch.bfloat16)
    assert describe_base(opened) == BaseRequest(name=base.name, device="cpu", dtype="bfloat16")


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "big"}, "base", "no base called 'big'"),
    ({"name": "a" * 5000}, "base", ""),
    ({"vae": "nowhere"}, "base", ""),
    ({"loras": [{"path": "nowhere.safetensors"}]}, "base.loras.0", "there is no LoRA at nowhere.safetensors"),
    ({"device": "abacus"}, "base.device", "device is 'abacus', which is not on this machine; expected cpu, cuda or mps"),
]


@pytest.mark.parametrize(("change", "field", "message"), WRONG)
def test_wrong_bases_are_one_line_with_their_field(
    base: StableDiffusion, change: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+$") as caught:
        open_base(BaseRequest.model_validate({"name": base.name, "device": "cpu", **change}))
    assert caught.value.field == field and str(caught.value).startswith(message)


def test_a_request_is_enough(base: StableDiffusion) -> None:
    request = GenerationRequest(prompt="a red house", num_inference_steps=1, base=BaseRequest(name=base.name, device="cpu"))
    alone, _ = generate(request)
    given, _ = generate(request, base)
    assert torch.equal(alone.latents, given.latents)


def test_another_base_than_the_one_that_is_named_is_refused(base: StableDiffusion) -> None:
    generate(GenerationRequest(prompt="a red house", num_inference_steps=1), base)  # names none
    name = str(Path(base.name).parent / "another")
    with pytest.raises(InputError, match=r"^the request is for the base '[^\n]+', the open one is '") as caught:
        generate(GenerationRequest(prompt="a red house", base=BaseRequest(name=name)), base)
    assert caught.value.field == "base"


@pytest.mark.parametrize(("filling", "weight", "told"), [(0.0, 1.0, True), (0.1, 0.0, True), (0.1, 1.0, False)])
def test_a_lora_that_changes_nothing_is_told(
    filling: float, weight: float, told: bool, base: StableDiffusion, tmp_path: Path
) -> None:
    pair = Factors(torch.full((2, 16), filling), torch.full((32, 2), filling))
    key = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    write_safetensors(tmp_path / "style.safetensors", kohya({"unet": {key: pair}}))
    found: list[str] = []
    lora = {"path": str(tmp_path / "style.safetensors"), "weight": weight}
    with listen(lambda message: found.append(message.code)):
        open_base(BaseRequest.model_validate({"name": base.name, "device": "cpu", "loras": [lora]}))
    assert ("no-effect.lora" in found) == told and "lora.merged" in found
