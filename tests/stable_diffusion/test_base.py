"""The locked base: opened from a folder, text and latents like diffusers', and clear words when a part is missing."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from tests.tiny import NOISE, build_map, build_unet, copies, numbers, unchanged
from zeroconv.images import normalize, to_tensor
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.folder import PARTS


@pytest.fixture
def broken(base_folder: Path, tmp_path: Path) -> Path:
    """A copy of the base's folder to be spoilt."""
    return Path(shutil.copytree(base_folder, tmp_path / "base"))


def test_is_locked_and_says_what_it_is(base: StableDiffusion) -> None:
    for network in (base.unet, base.vae, base.text_encoder):
        assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert (base.vae_scale_factor, base.size, base.prediction_type) == (8, 64, "epsilon")
    assert base.latent_shape(64, 40) == (4, 5, 8) and base.dtype == torch.float32 and base.device.type == "cpu"
    assert base.scheduler_config["beta_end"] == NOISE["beta_end"]


def test_weights_are_those_that_were_saved(base: StableDiffusion) -> None:
    assert unchanged(build_unet(), copies(base.unet.state_dict().items()))


@pytest.mark.parametrize("prompts", [["a red house"], ["", "A RED  house, sea.", "x"]])
def test_text_is_that_of_diffusers(base: StableDiffusion, base_folder: Path, prompts: list[str]) -> None:
    theirs: Any = StableDiffusionPipeline.from_pretrained(
        base_folder, safety_checker=None, feature_extractor=None, requires_safety_checker=False, low_cpu_mem_usage=False
    )
    wanted, negative = theirs.encode_prompt(prompts, "cpu", 1, True, [""] * len(prompts))
    text = base.encode_text(prompts)
    assert text.hidden_states.shape == (len(prompts), 16, 16) and not text.hidden_states.requires_grad and text.pooled is None
    torch.testing.assert_close(text.hidden_states, wanted)
    torch.testing.assert_close(base.encode_text([""] * len(prompts)).hidden_states, negative)


def test_a_prompt_that_fits_is_read_without_a_word(base: StableDiffusion) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        base.encode_text(["abcdefghijklmn"])  # 14 letters, start and end: the whole window of 16


def test_a_longer_prompt_is_cut_and_the_warning_names_what_was_cut(base: StableDiffusion) -> None:
    with pytest.warns(UserWarning, match=r"^the prompt has 18 tokens, the base reads 16; not read: 'op'$"):
        text = base.encode_text(["abcdefghijklmn" + "op"])
    with pytest.warns(UserWarning, match=r"not read: 'x y red'$") as caught:
        base.encode_text(["short", "a b c d e f g h i j k l m n x y red"])
    assert len(caught) == 1 and caught[0].filename == __file__
    assert text.hidden_states.shape == (1, 16, 16)


def test_latents_there_and_back(base: StableDiffusion) -> None:
    image = normalize(to_tensor(build_map()))[None]
    latents = base.encode_images(image)
    wanted = base.vae.encode(image).latent_dist.mean * base.vae.config.scaling_factor
    assert torch.equal(latents, wanted) and latents.shape == (1, *base.latent_shape(64, 64))
    decoded = base.decode(latents)
    assert decoded.shape == (1, 3, 64, 64) and decoded.min() >= 0 and decoded.max() <= 1
    raw = base.vae.decode(latents / base.vae.config.scaling_factor).sample
    theirs = VaeImageProcessor().postprocess(raw.detach(), output_type="pt")
    torch.testing.assert_close(decoded, theirs)
    assert base.decode(1e4 * latents).isfinite().all()


@pytest.mark.parametrize("size", [(0, 64), (64, -8), (60, 64), (64, 63)])
def test_sizes_that_are_no_multiple_are_one_line(base: StableDiffusion, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"^pictures of {size[0]}x{size[1]} are asked for; expected multiples of 8$"):
        base.latent_shape(*size)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_one_line(part: str, broken: Path) -> None:
    shutil.rmtree(broken / part)
    with pytest.raises(ValueError, match=rf"^[^\n]* is not a complete base: it has no folder '{part}' \(needed: [^\n]*$"):
        StableDiffusion.from_pretrained(broken)


FILES = {
    "unet weights": "unet/diffusion_pytorch_model.safetensors",
    "unet configuration": "unet/config.json",
    "vae weights": "vae/diffusion_pytorch_model.safetensors",
    "text weights": "text_encoder/model.safetensors",
    "text configuration": "text_encoder/config.json",
    "schedule": "scheduler/scheduler_config.json",
}


@pytest.mark.parametrize("how", ["missing", "cut", "nonsense"])
@pytest.mark.parametrize("name", FILES)
def test_a_broken_part_is_one_line(name: str, how: str, broken: Path) -> None:
    path = broken / FILES[name]
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_bytes(b"\x00\x01nonsense")
    with pytest.raises(ValueError, match=r"^[^\n]* cannot be opened as a base: [^\n]+$") as caught:
        StableDiffusion.from_pretrained(broken)
    assert str(broken) in str(caught.value)


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_a_tokenizer_without_its_files_is_one_line(missing: str, broken: Path) -> None:
    (broken / "tokenizer" / missing).unlink()
    with pytest.raises(ValueError, match=r"^[^\n]* cannot be opened as a base: [^\n]+$"):
        StableDiffusion.from_pretrained(broken)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_a_schedule_that_is_no_object_is_one_line(text: str, broken: Path) -> None:
    (broken / FILES["schedule"]).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=r"^[^\n]* cannot be opened as a base: [^\n]+$"):
        StableDiffusion.from_pretrained(broken)


def test_weights_of_another_shape_are_one_line(broken: Path) -> None:
    path = broken / "unet" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "block_out_channels": [32, 32, 32, 32]}), "utf-8")
    with pytest.raises(ValueError, match=r"^[^\n]* cannot be opened as a base: [^\n]+$"):
        StableDiffusion.from_pretrained(broken)


def test_a_folder_that_is_not_there_is_one_line() -> None:
    with pytest.raises(FileNotFoundError, match=r"^no base called 'nowhere/at/all': expected a folder [^\n]*$"):
        StableDiffusion.from_pretrained("nowhere/at/all")


def test_half_precision(base_folder: Path) -> None:
    base = StableDiffusion.from_pretrained(base_folder).to("cpu", torch.bfloat16)
    text, image = base.encode_text(["a red house"]).hidden_states, base.decode(numbers(1, 4, 8, 8))
    assert base.dtype == text.dtype == torch.bfloat16 and image.dtype == torch.float32
    assert image.isfinite().all() and base.encode_images(torch.zeros(1, 3, 64, 64)).isfinite().all()
