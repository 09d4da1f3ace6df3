"""A base in one file: opened without a network, equal to what diffusers opens, and refused in one line when it is none."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from torch import Tensor
from transformers import CLIPTokenizer

from tests.originals import networks, original_tensors, write_base_file
from zeroconv import StableDiffusion
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.architecture.families import FAMILIES
from zeroconv.checkpoints.files.torch_pickle import write_pickle
from zeroconv.checkpoints.formats.single_file import NORM, UNET, ema_name
from zeroconv.conversion.base import convert_base, is_base
from zeroconv.diffusion import SAMPLERS, build_scheduler
from zeroconv.stable_diffusion.tokenizer import clip_tokenizer

Made = dict[str, Any]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def single(family: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """A file, and the networks in it."""
    path = tmp_path_factory.mktemp("single") / f"{family}.safetensors"
    return path, write_base_file(path, family)


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A file of SD 1.5, and its tensors."""
    path = tmp_path_factory.mktemp("sd15") / "model.safetensors"
    write_base_file(path, "sd15")
    return path, read_safetensors(path)


def quietly(path: Path, **settings: Any) -> StableDiffusion:
    """Open without the announcement that the prediction type was guessed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not say what it predicts")
        return StableDiffusion.from_pretrained(path, **settings)


def same(network: Any, tensors: dict[str, Tensor]) -> bool:
    mine = network.state_dict()
    return mine.keys() == tensors.keys() and all(torch.equal(mine[name], tensors[name]) for name in mine)


def test_every_network_is_in_it(single: tuple[Path, Made], family: str) -> None:
    path, made = single
    base = quietly(path)
    assert all(same(getattr(base, name), network.state_dict()) for name, network in made.items())
    assert base.family.key == family and base.name == str(path)
    assert base.vae.config.scaling_factor == FAMILIES[family].latent_scale


@pytest.mark.filterwarnings("ignore")
def test_diffusers_opens_the_same_file_as_the_same_networks(single: tuple[Path, Made], family: str, tmp_path: Path) -> None:
    """It asks the network for configurations; a folder written by `convert` stands in for it."""
    path, _ = single
    convert_base(path, tmp_path / "folder", "diffusers")
    kind = StableDiffusionXLPipeline if family == "sdxl" else StableDiffusionPipeline
    theirs: Any = kind.from_single_file(str(path), config=str(tmp_path / "folder"), local_files_only=True, safety_checker=None)
    ours = quietly(path)
    for name in ("unet", "vae", "text_encoder", *(("text_encoder_2",) if family == "sdxl" else ())):
        assert same(getattr(ours, name), getattr(theirs, name).state_dict())
    prompt = "a red house, 8k, it's evening (((masterpiece)))"
    with torch.no_grad():
        encoded = theirs.encode_prompt(prompt, "cpu", 1, True) if family != "sdxl" else theirs.encode_prompt(prompt)
        text = ours.encode_text([prompt, ""])
    torch.testing.assert_close(text.hidden_states[:1], encoded[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(text.hidden_states[1:], encoded[1], rtol=1e-5, atol=1e-5)
    if text.pooled is not None:
        torch.testing.assert_close(text.pooled, torch.cat([encoded[2], encoded[3]]), rtol=1e-5, atol=1e-5)


def test_a_file_to_a_folder_and_back_is_bit_equal(single: tuple[Path, Made], tmp_path: Path) -> None:
    path, made = single
    assert is_base(path)
    report = convert_base(path, tmp_path / "folder", "diffusers")
    assert report.layout == "original" and tmp_path / "folder" / "model_index.json" in report.files
    assert is_base(tmp_path / "folder")
    base = quietly(tmp_path / "folder")
    assert all(same(getattr(base, name), network.state_dict()) for name, network in made.items())
    convert_base(tmp_path / "folder", tmp_path / "back.safetensors", "original")
    before, after = read_safetensors(path), read_safetensors(tmp_path / "back.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_opened_in_any_type(dtype: torch.dtype, tmp_path: Path) -> None:
    made = networks("sd15")
    tensors = {name: tensor.to(dtype) for name, tensor in original_tensors("sd15", made).items()}
    write_safetensors(tmp_path / "half.safetensors", tensors)
    stored = StableDiffusion.from_pretrained(tmp_path / "half.safetensors", dtype=None)
    assert {p.dtype for network in stored.networks for p in network.parameters()} == {dtype}
    wide = StableDiffusion.from_pretrained(tmp_path / "half.safetensors")
    for name, network in made.items():
        for one, two, true in zip(
            getattr(stored, name).parameters(), getattr(wide, name).parameters(), network.parameters(), strict=True
        ):
            assert two.dtype == torch.float32
            assert torch.equal(one.float(), two) and torch.equal(one, true.to(dtype))


def test_as_stored_nothing_is_copied(sd15: tuple[Path, dict[str, Tensor]]) -> None:
    """The weights are the file itself: their memory belongs to the mapping, page by page."""
    base = StableDiffusion.from_pretrained(sd15[0], dtype=None)
    largest = max((p for network in base.networks for p in network.parameters()), key=lambda p: p.numel())
    start = largest.data_ptr()
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        ends = [int(end, 16) for end in line.split()[0].split("-")]
        if ends[0] <= start < ends[1]:
            assert line.endswith("model.safetensors")
            return
    pytest.fail("the tensor lies in no mapping")


def test_the_averaged_weights_are_taken_when_asked_for(sd15: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    path, tensors = sd15
    averaged = {ema_name(name.removeprefix(UNET)): t + 1 for name, t in tensors.items() if name.startswith(UNET)}
    assert "model_ema.diffusion_modelinput_blocks00weight" in averaged
    extra = {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(3), "betas": torch.zeros(3)}
    write_safetensors(tmp_path / "both.safetensors", {**tensors, **averaged, **extra})
    plain, other = StableDiffusion.from_pretrained(path), StableDiffusion.from_pretrained(tmp_path / "both.safetensors")
    mean = StableDiffusion.from_pretrained(tmp_path / "both.safetensors", ema=True)
    assert same(other.unet, plain.unet.state_dict())
    assert all(torch.equal(a, b + 1) for a, b in zip(mean.unet.parameters(), plain.unet.parameters(), strict=True))
    with pytest.raises(ValueError, match=r"holds no averaged weights \(EMA\)"):
        StableDiffusion.from_pretrained(path, ema=True)


@pytest.mark.parametrize("layout", ["original", "original with prefix", "diffusers file", "folder"])
def test_another_autoencoder_is_taken_from_anywhere(layout: str, sd15: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    other: Any = networks("sd15", seed=50)["vae"]
    whole = original_tensors("sd15", {**networks("sd15"), "vae": other})
    place = tmp_path / "vae.safetensors"
    prefixed = {name: tensor for name, tensor in whole.items() if name.startswith("first_stage_model.")}
    if layout == "folder":
        place = tmp_path / "vae"
        other.save_pretrained(place)
    elif layout == "diffusers file":
        write_safetensors(place, other.state_dict())
    else:
        cut = "" if layout.endswith("prefix") else "first_stage_model."
        write_safetensors(place, {name.removeprefix(cut): tensor for name, tensor in prefixed.items()})
    without = {name: tensor for name, tensor in sd15[1].items() if name not in prefixed}
    write_safetensors(tmp_path / "without.safetensors", without)
    for path in (sd15[0], tmp_path / "without.safetensors"):
        base = StableDiffusion.from_pretrained(path, vae=place)
        assert same(base.vae, other.state_dict()) and base.vae.config.scaling_factor == 0.18215
    with pytest.raises(ValueError, match=r"without\.safetensors holds no autoencoder: give one"):
        StableDiffusion.from_pretrained(tmp_path / "without.safetensors")


def test_a_folder_takes_an_autoencoder_from_a_file(base_folder: Path, tmp_path: Path) -> None:
    vae = StableDiffusion.from_pretrained(base_folder).vae
    write_safetensors(tmp_path / "vae.safetensors", {name: tensor + 1 for name, tensor in vae.state_dict().items()})
    with pytest.raises(ValueError, match="cannot be opened as a base"):  # 8 channels, 4 groups: not the published form
        StableDiffusion.from_pretrained(base_folder, vae=tmp_path / "vae.safetensors")


def test_tensors_that_programs_left_behind_are_passed_over(single: tuple[Path, Made], family: str, tmp_path: Path) -> None:
    """Numbers 0 to 76, which panels write into merged files under several names, a temperature, a second copy's counters."""
    counter = torch.arange(77)[None]
    extra = {
        "model_ema.decay": torch.tensor(0.9),
        "alphas_cumprod": torch.zeros(1000),
        "first_stage_model.loss.logvar": counter,
    }
    for encoder in FAMILIES[family].text_encoders:
        extra[f"{encoder.prefix}embeddings.position_ids"] = counter.clone()
        extra[f"{encoder.prefix}transformer.text_model.embeddings.position_ids"] = counter.clone()
        if encoder.kind == "open_clip":
            extra[f"{encoder.prefix}logit_scale"] = torch.tensor(4.6)
    path, made = single
    write_safetensors(tmp_path / "merged.safetensors", {**read_safetensors(path), **extra})
    base = quietly(tmp_path / "merged.safetensors")
    assert all(same(getattr(base, name), network.state_dict()) for name, network in made.items())


@pytest.mark.parametrize("mark", ["edm_mean", "edm_vpred.sigma_max"])
def test_another_noise_schedule_is_refused(mark: str, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "playground.safetensors", {**original_tensors("sdxl", networks("sdxl")), mark: torch.zeros(1)})
    with pytest.raises(ValueError, match=rf"playground\.safetensors: it was trained on another noise schedule \(EDM.*'{mark}'"):
        StableDiffusion.from_pretrained(tmp_path / "playground.safetensors")


def test_marks_of_v_prediction_and_zero_snr_travel_both_ways(tmp_path: Path) -> None:
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    write_safetensors(tmp_path / "noob.safetensors", {**original_tensors("sdxl", networks("sdxl")), **marks})
    convert_base(tmp_path / "noob.safetensors", tmp_path / "folder", "diffusers")
    convert_base(tmp_path / "folder", tmp_path / "back.safetensors", "original")
    assert marks.keys() <= read_safetensors(tmp_path / "back.safetensors").keys()
    for place in ("noob.safetensors", "folder", "back.safetensors"):
        base = StableDiffusion.from_pretrained(tmp_path / place)
        assert base.prediction_type == "v_prediction" and base.scheduler_config["rescale_betas_zero_snr"]
        for sampler in SAMPLERS:
            scheduler = build_scheduler(sampler, base.scheduler_config)
            scheduler.set_timesteps(10)
            assert int(scheduler.timesteps[0]) >= (998 if sampler.endswith("exponential") else 999)
            assert float(scheduler.alphas_cumprod[-1]) < 1e-6


def test_a_converted_tokenizer_has_the_files_of_older_releases(sd15: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    convert_base(sd15[0], tmp_path / "folder", "diffusers")
    folder = tmp_path / "folder" / "tokenizer"
    vocabulary, merges = (folder / name for name in ("vocab.json", "merges.txt"))
    slow = CLIPTokenizer(vocab=str(vocabulary), merges=str(merges))
    assert slow("it's a red house").input_ids == clip_tokenizer()("it's a red house").input_ids
    assert json.loads((folder / "special_tokens_map.json").read_text("utf-8"))["pad_token"] == "<|endoftext|>"


SAID: list[tuple[dict[str, str], dict[str, Tensor], str]] = [
    ({"modelspec.prediction_type": "v"}, {}, "v_prediction"),
    ({"modelspec.prediction_type": "epsilon"}, {}, "epsilon"),
    ({}, {"v_pred": torch.zeros(0)}, "v_prediction"),
    ({}, {UNET + NORM: torch.zeros(64)}, "epsilon"),
    ({}, {UNET + NORM: torch.arange(64.0)}, "v_prediction"),
]


@pytest.mark.parametrize(("metadata", "extra", "expected"), SAID)
def test_what_sd_21_predicts_is_told_by_the_file_or_guessed_aloud(
    metadata: dict[str, str], extra: dict[str, Tensor], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "sd21.safetensors"
    write_safetensors(path, {**original_tensors("sd21", networks("sd21")), **extra}, metadata)
    guessed = not metadata and "v_pred" not in extra
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        base = StableDiffusion.from_pretrained(path)
    assert base.prediction_type == expected
    assert any("is a guess from the spread of a norm" in str(warning.message) for warning in said) == guessed
    assert base.size == (512 if expected == "epsilon" else 768)
    other = "epsilon" if expected == "v_prediction" else "v_prediction"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert StableDiffusion.from_pretrained(path, prediction_type=other).prediction_type == other


def test_the_family_can_be_overruled(sd15: tuple[Path, dict[str, Tensor]]) -> None:
    with pytest.raises(ValueError, match="family is 'sd3'; expected one of sd15, sd21, sdxl"):
        StableDiffusion.from_pretrained(sd15[0], family="sd3")
    with pytest.raises(ValueError, match="has no text encoder"):
        StableDiffusion.from_pretrained(sd15[0], family="sd21")


def changed(tensors: dict[str, Tensor], name: str, tensor: Tensor | None) -> dict[str, Tensor]:
    """With one tensor replaced, or left out."""
    rest = {key: value for key, value in tensors.items() if key != name}
    return rest if tensor is None else {**rest, name: tensor}


WRONG: list[tuple[str, Tensor | None, str]] = [
    ("input_blocks.0.0.weight", torch.zeros(32, 9, 3, 3), "this is, or is made for, an inpainting U-Net"),
    ("input_blocks.0.0.weight", torch.zeros(32, 8, 3, 3), "an instruct-pix2pix U-Net"),
    ("input_blocks.0.0.weight", torch.zeros(32, 5, 3, 3), "a depth-to-image U-Net"),
    ("input_blocks.0.0.weight", None, "'input_blocks.0.0.weight' is missing"),
    ("out.0.bias", None, "tensor 'out.0.bias' is missing"),
    ("out.0.surprise", torch.zeros(1), "tensor 'out.0.surprise' is unknown"),
    ("time_embed.2.bias", torch.zeros(7), "'time_embedding.linear_2.bias' has shape (7,), expected (128,)"),
]


@pytest.mark.parametrize(("name", "tensor", "sentence"), WRONG)
def test_a_wrong_u_net_is_one_line(
    name: str, tensor: Tensor | None, sentence: str, sd15: tuple[Path, dict[str, Tensor]], tmp_path: Path
) -> None:
    path = tmp_path / "wrong.safetensors"
    write_safetensors(path, changed(sd15[1], UNET + name, tensor))
    with pytest.raises(ValueError) as caught:
        StableDiffusion.from_pretrained(path)
    assert sentence in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_files_without_a_base_are_one_line(sd15: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    unet_alone = {name: tensor for name, tensor in sd15[1].items() if name.startswith(UNET)}
    write_safetensors(tmp_path / "unet.safetensors", unet_alone)
    with pytest.raises(ValueError, match=r"unet\.safetensors has no text encoder: .* not a U-Net alone"):
        StableDiffusion.from_pretrained(tmp_path / "unet.safetensors")
    write_safetensors(tmp_path / "other.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(ValueError, match="is no Stable Diffusion in one file: no tensor's name begins with"):
        StableDiffusion.from_pretrained(tmp_path / "other.safetensors")
    write_pickle(tmp_path / "model.ckpt", sd15[1])
    with pytest.raises(ValueError, match=r"is a pickle, which only `zeroconv convert` opens: zeroconv convert .*--to original"):
        StableDiffusion.from_pretrained(tmp_path / "model.ckpt")


def test_a_pickled_base_is_converted(sd15: tuple[Path, dict[str, Tensor]], tmp_path: Path) -> None:
    torch.save({"state_dict": {**sd15[1], "model_ema.decay": torch.tensor(1.0)}, "epoch": 3}, tmp_path / "model.ckpt")
    assert is_base(tmp_path / "model.ckpt")
    convert_base(tmp_path / "model.ckpt", tmp_path / "model.safetensors", "original")
    tensors = read_safetensors(tmp_path / "model.safetensors")
    assert tensors.keys() == sd15[1].keys() and all(torch.equal(tensors[name], sd15[1][name]) for name in tensors)
    for name, layout in (("folder", "original"), ("a.safetensors", "diffusers"), ("b", "webui")):
        out = tmp_path / name
        with pytest.raises(ValueError, match=f"the layout '{layout}' is|expected 'diffusers' or 'original'"):
            convert_base(tmp_path / "model.ckpt", out, layout)
        assert not out.exists()


def test_the_tokenizer_is_clips() -> None:
    """Numbers of the published vocabulary, written down from OpenAI's own tokenizer."""
    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49_408 and tokenizer.model_max_length == 77
    assert tokenizer("a red house under an evening sky, 8k, trending!!").input_ids == [
        49406, 320, 736, 1212, 1798, 550, 2285, 2390, 267, 279, 330, 267, 6087, 748, 49407,
    ]  # fmt: skip
    assert tokenizer("  it's ümlaut 漢字 😀").input_ids[:11] == [49406, 585, 568, 6522, 76, 1853, 339, 162, 120, 95, 35751]
    assert tokenizer("", padding="max_length").input_ids == [49406] + [49407] * 76
    assert clip_tokenizer("!")("", padding="max_length").input_ids == [49406, 49407] + [0] * 75
    assert json.loads(json.dumps(tokenizer.get_vocab()))["<|endoftext|>"] == 49_407
