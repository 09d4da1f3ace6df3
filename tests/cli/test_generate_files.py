"""`zeroconv generate` with files of every kind: a base in one file, LoRAs, autoencoders, Control-LoRAs, maps with a hole."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from PIL import Image

from tests.cli.conftest import Run
from tests.loras import Factors, kohya, peft
from tests.shelf import Shelf
from tests.tiny import UNION, build_control, build_map, numbers, randomized
from zeroconv import Control, StableDiffusion
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.images import open_image, open_with_mask, read_settings

KEY = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
WORDS = ["--prompt", "a red house", "--steps", 2, "--size", 64, "--guidance", 1]


@pytest.fixture
def loras(run: Run, base: StableDiffusion) -> list[str]:
    """Two LoRAs for it in two layouts, in the folder that commands are run in."""
    out, inside = base.unet.get_parameter(f"{KEY}.weight").shape
    pairs = [Factors(numbers(2, inside, seed=seed) / 8, numbers(out, 2, seed=seed + 1) / 8) for seed in (1, 5)]
    for name, layout, pair in zip(("a", "b"), (kohya, peft), pairs, strict=True):
        write_safetensors(Path(f"{name}.safetensors"), layout({"unet": {KEY: pair}}))
    return ["a.safetensors", "b.safetensors"]


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(open_image(path)).astype(int)


def test_a_base_in_one_file_makes_the_pictures_of_its_folder(run: Run, shelf: Shelf) -> None:
    file = shelf["base.safetensors"]
    result = run("generate", "--base", file, *WORDS, "--out", "file", "--json")
    assert result.code == 0, result.err
    assert result.json["settings"][0]["base"]["name"] == str(file)
    assert run("convert", file, "base", "--to", "diffusers").code == 0
    assert run("generate", "--base", "base", *WORDS, "--vae", file, "--out", "folder").code == 0
    assert np.array_equal(pixels("file/seed-0.png"), pixels("folder/seed-0.png"))


def test_loras_add_up_are_remembered_and_made_again(run: Run, base_folder: Path, loras: list[str]) -> None:
    more = ["--lora", f"{loras[0]}:0.5", "--lora", f"{loras[1]}:-1"]
    result = run("generate", "--base", base_folder, *WORDS, *more, "--out", "two", "--json")
    assert result.code == 0, result.err
    assert "a.safetensors: LoRA of rank 2 (kohya) at weight 0.5, changed 1 modules of the U-Net" in result.err
    assert "b.safetensors: LoRA of rank 2 (PEFT) at weight -1" in result.err
    wanted = [{"path": "a.safetensors", "weight": 0.5}, {"path": "b.safetensors", "weight": -1.0}]
    kept = read_settings("two/seed-0.png")["request"]["base"]["loras"]
    assert result.json["settings"][0]["base"]["loras"] == kept == wanted
    for name, words in (("none", []), ("one", more[:2])):
        assert run("generate", "--base", base_folder, *WORDS, *words, "--out", name).code == 0
    assert len({pixels(f"{name}/seed-0.png").tobytes() for name in ("none", "one", "two")}) == 3
    again = run("generate", "--again", "two/seed-0.png", "--out", "again", "--json")
    assert (again.code, again.json["same_pixels"]) == (0, True)
    Path("a.safetensors").unlink()
    gone = run("generate", "--again", "two/seed-0.png", "--out", "gone")
    assert gone.code == 1 and "a.safetensors, and is not there any more: put it back" in gone.err and not Path("gone").exists()


def test_another_autoencoder_is_remembered(run: Run, base_folder: Path) -> None:
    weights = Path(shutil.copytree(base_folder / "vae", "vae")) / "diffusion_pytorch_model.safetensors"
    tensors = read_safetensors(weights)
    write_safetensors(weights, {**tensors, "decoder.conv_out.weight": tensors["decoder.conv_out.weight"] * 1.5})
    for name, words in (("own", []), ("other", ["--vae", "vae"])):
        assert run("generate", "--base", base_folder, *WORDS, *words, "--out", name).code == 0
    assert not np.array_equal(pixels("own/seed-0.png"), pixels("other/seed-0.png"))
    assert run("generate", "--again", "other/seed-0.png", "--out", "again", "--json").json["same_pixels"] is True


def test_what_the_base_predicts_can_be_overruled(run: Run, base_folder: Path) -> None:
    for name in ("epsilon", "v_prediction"):
        assert run("generate", "--base", base_folder, *WORDS, "--prediction", name, "--out", name).code == 0
    assert not np.array_equal(pixels("epsilon/seed-0.png"), pixels("v_prediction/seed-0.png"))


def test_half_precision_makes_nearly_the_same_picture(run: Run, base_folder: Path) -> None:
    for name in ("fp32", "bf16"):
        assert run("generate", "--base", base_folder, *WORDS, "--dtype", name, "--device", "cpu", "--out", name).code == 0
    difference = np.abs(pixels("fp32/seed-0.png") - pixels("bf16/seed-0.png"))
    assert 0 < difference.mean() < 8


def test_a_control_lora_acts_as_the_network_it_stands_for(
    run: Run, base_folder: Path, base: StableDiffusion, edge_map: Path
) -> None:
    network = build_control(base.unet, seed=4, variant="lora", rank=2)
    network.config = replace(network.config, condition="canny")
    network.save_pretrained("low-rank")
    network.merge_lora().save_pretrained("full")
    assert run("convert", "low-rank", "alone.safetensors", "--to", "control-lora").code == 0
    words = ["generate", "--base", base_folder, *WORDS, "--condition", edge_map]
    for name, control in (("one", "alone.safetensors"), ("full", "full")):
        result = run(*words, "--control", f"{control}:0.5", "--out", name)
        assert result.code == 0, result.err
    assert run("generate", "--base", base_folder, *WORDS, "--out", "plain").code == 0
    assert np.abs(pixels("one/seed-0.png") - pixels("full/seed-0.png")).max() <= 2
    assert not np.array_equal(pixels("one/seed-0.png"), pixels("plain/seed-0.png"))
    assert run("generate", "--again", "one/seed-0.png", "--out", "again", "--json").json["same_pixels"] is True


@pytest.fixture
def holes(run: Run) -> dict[str, Path]:
    """Maps for inpainting: with a hole, as a palette, without transparency, opaque, and of another size."""
    picture = Image.new("RGBA", (64, 64), (200, 30, 30, 255))
    made = {"opaque": picture.copy(), "plain": picture.convert("RGB"), "hole": picture}
    picture.paste((0, 0, 0, 0), (8, 16, 40, 48))
    made |= {"palette": picture.convert("P"), "small": picture.resize((32, 32), Image.Resampling.NEAREST)}
    for name, image in made.items():
        image.save(f"{name}.png")
    return {name: Path(f"{name}.png") for name in made}


def test_the_hole_of_an_inpainting_map_is_minus_one(holes: dict[str, Path], base: StableDiffusion) -> None:
    network = build_control(base.unet)
    network.config = replace(network.config, condition="inpaint")
    hole = torch.zeros(3, 64, 64, dtype=torch.bool)
    hole[:, 16:48, 8:40] = True
    for name in ("hole", "palette"):
        read = Control(network, open_with_mask(holes[name])).tensor_of(0)
        assert torch.equal(read == -1, hole)
        assert torch.allclose(read[:, 0, 0], torch.tensor([200.0, 30.0, 30.0]) / 255, atol=0.02)
    with pytest.raises(ValueError, match=r"plain\.png has no transparency; expected a picture whose transparent pixels are"):
        open_with_mask(holes["plain"])
    with pytest.raises(ValueError, match="expected RGBA, its transparent pixels the hole"):
        Control(network, plain := open_image(holes["plain"]), checked=plain).tensor_of(0)


def test_inpainting_through_the_command(run: Run, base_folder: Path, base: StableDiffusion, holes: dict[str, Path]) -> None:
    network = build_control(base.unet, seed=2)
    network.config = replace(network.config, condition="inpaint")
    network.save_pretrained("fill")
    words = ["generate", "--base", base_folder, *WORDS, "--control", "fill"]
    result = run(*words, "--condition", holes["hole"], "--out", "made", "--json")
    assert result.code == 0, result.err
    assert open_with_mask(result.json["maps"][0]).tobytes() == open_with_mask(holes["hole"]).tobytes()
    assert run("generate", "--again", "made/seed-0.png", "--out", "again", "--json").json["same_pixels"] is True
    result = run(*words, "--condition", holes["opaque"], "--out", "wrong")
    assert (result.code, result.out) == (1, "") and not Path("wrong").exists()
    assert "opaque.png has no transparent pixel; expected a picture whose transparent pixels are the hole to" in result.err
    result = run(*words, "--condition", holes["small"], "--resize", "--out", "fitted", "--json")
    assert result.code == 0
    assert open_with_mask(result.json["maps"][0]).tobytes() == open_with_mask(holes["hole"]).tobytes()
    result = run(*words, "--image", holes["hole"], "--out", "wrong")
    assert result.code == 1 and "fills a hole" in result.err and "--condition, RGBA and transparent there" in result.err


@pytest.mark.parametrize(
    ("words", "code", "piece"),
    [
        (["--lora", "style.safetensors:strong"], 2, "got --lora 'style.safetensors:strong'; expected FILE or FILE:WEIGHT"),
        (["--lora", ":0.5"], 2, "got --lora ':0.5'"),
        (["--prediction", "v"], 2, "got --prediction 'v'; expected epsilon or v_prediction"),
        (["--dtype", "fp8"], 2, "got --dtype 'fp8'; expected one of fp32, fp16, bf16"),
        (["--device", "nonsense"], 2, "got --device 'nonsense', which is not on this machine"),
        (["--device", "cuda:77"], 2, "got --device 'cuda:77', which is not on this machine"),
        (["--device", "meta"], 2, "got --device 'meta', which is not on this machine"),
        (["--lora", "nowhere.safetensors"], 1, "there is no LoRA at nowhere.safetensors: expected a .safetensors file"),
        (["--lora", "{base}"], 1, "holds no LoRA tensors: it is a Stable Diffusion: open it with"),
        (["--lora", "{lora}:nan"], 1, "the weight of a LoRA is nan"),
        (["--vae", "nowhere"], 1, "there is no autoencoder at nowhere: expected a .safetensors file"),
        (["--vae", "{lora}"], 1, "holds no autoencoder of Stable Diffusion: "),
        (["--control", "{base}", "--condition", "{map}"], 1, "holds no ControlNet: "),
        (
            ["--control", "{other}", "--condition", "{map}"],
            1,
            "this ControlNet was made for SD 2.1 (text width 1024), the base",
        ),
    ],
)
def test_wrong_files_and_options(
    words: list[str], code: int, piece: str, run: Run, shelf: Shelf, base_folder: Path, edge_map: Path
) -> None:
    names = {"base": shelf["base.safetensors"], "lora": shelf["sd15-lora.safetensors"], "other": shelf["sd21-folder"]}
    filled = [word.format(map=edge_map, **names) for word in words]
    result = run("generate", "--base", base_folder, *WORDS, *filled, "--out", "made")
    assert (result.code, result.out) == (code, "") and piece in " ".join(result.err.split())
    assert not Path("made").exists()


def test_a_control_that_was_guessed_says_so_once(run: Run, base_folder: Path, base: StableDiffusion, edge_map: Path) -> None:
    tensors = build_control(base.unet, seed=3).state_dict()
    write_safetensors(Path("control_v11e_sd15_shuffle.safetensors"), tensors)
    two = ["--control", "control_v11e_sd15_shuffle.safetensors", "--condition", edge_map] * 2
    result = run("generate", "--base", base_folder, *WORDS, *two)
    assert result.code == 0 and result.err.count("guessed from its name: its condition is 'shuffle'") == 1


def test_the_command_says_which_condition_and_makes_it_again(run: Run, xl_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "union"
    randomized(ControlNetUnionModel(**UNION), 3).save_pretrained(folder)
    build_map().save("depth.png")
    build_map(seed=2).save("tile.png")
    words = ["--prompt", "a red house", "--steps", 2, "--size", 64, "--base", xl_folder]
    controls = [
        "--control",
        f"{folder}#depth:0.7",
        "--condition",
        "depth.png",
        "--control",
        f"{folder}#tile",
        "--condition",
        "tile.png",
    ]
    made = run("generate", *words, *controls, "--out", "made", "--json")
    assert made.code == 0, made.err
    assert [control["network"] for control in made.json["settings"][0]["controls"]] == [f"{folder}#depth", f"{folder}#tile"]
    assert run("generate", "--again", "made/seed-0.png", "--out", "again").code == 0
    assert Path("made/seed-0.png").read_bytes()[-4000:] == Path("again/seed-0.png").read_bytes()[-4000:]
    wrong = run("generate", *words, "--control", folder, "--condition", "depth.png", "--out", "wrong")
    assert wrong.code != 0 and "must be told its condition: expected NAME#CONDITION" in wrong.err
    told = run("info", folder)
    assert told.code == 0 and "one is chosen by NAME#CONDITION" in told.out


def test_an_embedding_is_a_word_of_prompts_and_made_again(run: Run, base_folder: Path) -> None:
    write_safetensors(Path("sks.safetensors"), {"emb_params": numbers(2, 16)})
    words = ["--prompt", "a toy house", "--steps", 2, "--size", 64, "--guidance", 1, "--base", base_folder]
    assert run("generate", *words, "--out", "plain").code == 0
    made = run("generate", *words, "--embedding", "sks.safetensors:toy", "--out", "made", "--json")
    assert made.code == 0, made.err
    assert made.json["settings"][0]["base"]["embeddings"] == [{"path": "sks.safetensors", "word": "toy"}]
    assert not np.array_equal(pixels("plain/seed-0.png"), pixels("made/seed-0.png"))
    assert run("generate", "--again", "made/seed-0.png", "--out", "again").code == 0
    assert np.array_equal(pixels("again/seed-0.png"), pixels("made/seed-0.png"))
    wrong = run("generate", *words, "--lora", "sks.safetensors", "--out", "wrong")
    assert wrong.code == 1 and "it is a textual-inversion embedding: a word of prompts, with --embedding" in wrong.err
    told = run("info", "sks.safetensors")
    assert told.code == 0 and "textual-inversion embedding" in told.out
