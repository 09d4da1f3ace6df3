"""`zeroconv convert` of whole bases: one file and a folder, pickles too, and what a U-Net predicts told with them."""

import json
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Run
from tests.cli.test_convert import same
from tests.shelf import Shelf
from zeroconv import StableDiffusion
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.torch_pickle import write_pickle
from zeroconv.checkpoints.formats.single_file import UNET, bare_of, ema_name


def test_a_base_to_one_file_and_back(run: Run, shelf: Shelf) -> None:
    file = shelf["base.safetensors"]
    result = run("convert", file, "folder", "--to", "diffusers", "--json")
    assert result.code == 0 and result.err == "prediction type epsilon, according to the family\n"
    assert "folder/model_index.json" in result.json["files"]
    assert run("convert", "folder", "file.safetensors", "--to", "original", "--json").json["from"] == "diffusers"
    assert same(read_safetensors(file), read_safetensors(Path("file.safetensors")))
    write_pickle(Path("base.ckpt"), read_safetensors(file))
    assert run("convert", "base.ckpt", "b.safetensors", "--to", "original", "--dtype", "bf16").code == 0
    assert {tensor.dtype for tensor in read_safetensors(Path("b.safetensors")).values()} == {torch.bfloat16}


def test_what_a_base_predicts_travels_with_the_file(run: Run, shelf: Shelf) -> None:
    assert run("convert", shelf["base.safetensors"], "folder", "--to", "diffusers").code == 0
    noise = Path("folder/scheduler/scheduler_config.json")
    noise.write_text(json.dumps({**json.loads(noise.read_text("utf-8")), "prediction_type": "v_prediction"}), "utf-8")
    assert run("convert", "folder", "file.safetensors", "--to", "original").code == 0
    told = "v_prediction (according to the file's metadata)"
    assert run("info", "file.safetensors", "--json").json["details"]["prediction"] == told
    assert run("convert", "file.safetensors", "again.safetensors", "--to", "original").code == 0
    assert StableDiffusion.from_pretrained("again.safetensors").prediction_type == "v_prediction"


def test_a_base_that_one_file_cannot_describe_stays_a_folder(run: Run) -> None:
    result = run("convert", "tiny", "tiny.safetensors", "--to", "original")
    assert (result.code, result.out) == (1, "") and "cannot be one file: its unet has " in result.err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ["--base", "tiny"], ["--rank", 4], ["--condition", "canny"], ["--pooling"], ["--no-pooling"],
        ["--channel-order", "bgr"], ["--transfer-to", "tiny"], ["--shard-size", 1], ["--prediction", "velocity"],
    ],
)  # fmt: skip
def test_a_base_takes_no_options_of_controls(words: list[object], run: Run, shelf: Shelf) -> None:
    result = run("convert", shelf["base.safetensors"], "o", "--to", "diffusers", *words)
    assert (result.code, result.out) == (2, "") and not list(Path().iterdir())
    assert str(words[0]).replace("no-", "") in result.err


def test_what_a_base_predicts_can_be_said(run: Run, shelf: Shelf) -> None:
    words = ["--prediction", "v_prediction"]
    assert run("convert", shelf["base.safetensors"], "folder", "--to", "diffusers", *words).code == 0
    noise = json.loads(Path("folder/scheduler/scheduler_config.json").read_text("utf-8"))
    assert noise["prediction_type"] == "v_prediction"
    told = "v_prediction (according to the file's metadata)"
    for source, out in ((shelf["base.safetensors"], "a.safetensors"), ("folder", "b.safetensors")):
        assert run("convert", source, out, "--to", "original", *words).code == 0
        assert run("info", out, "--json").json["details"]["prediction"] == told
    assert run("convert", "folder", "c.safetensors", "--to", "original", "--prediction", "epsilon").code == 0
    assert run("info", "c.safetensors", "--json").json["details"]["prediction"].startswith("epsilon")
    result = run("convert", "tiny-canny", "o.safetensors", "--to", "webui", *words)
    assert result.code == 2 and "--prediction does not apply to a ControlNet" in result.err


def test_averaged_weights_are_taken_when_asked_for(run: Run, shelf: Shelf) -> None:
    plain = read_safetensors(shelf["base.safetensors"])
    averages = {ema_name(name.removeprefix(UNET)): t + 1 for name, t in plain.items() if name.startswith(UNET)}
    write_pickle(Path("both.ckpt"), {**plain, **averages})
    result = run("convert", "both.ckpt", "plain.safetensors", "--to", "original")
    assert result.code == 0 and "averaged weights (EMA) too, which are left out: --ema takes them" in result.err
    assert same(read_safetensors(Path("plain.safetensors")), plain)
    assert run("convert", "both.ckpt", "averaged.safetensors", "--to", "original", "--ema").err == ""
    taken = read_safetensors(Path("averaged.safetensors"))
    assert same(taken, {name: t + 1 if name.startswith(UNET) else t for name, t in plain.items()})
    none = run("convert", "plain.safetensors", "again.safetensors", "--to", "original", "--ema")
    assert none.code == 1 and "holds no averaged weights (EMA)" in none.err and not Path("again.safetensors").exists()
    folder = run("convert", "tiny", "tiny.safetensors", "--to", "original", "--ema")
    assert folder.code == 1 and "leave --ema out" in folder.err


def test_an_autoencoder_out_of_a_pickle_is_opened_as_one(run: Run, shelf: Shelf) -> None:
    wanted = bare_of(read_safetensors(shelf["base.safetensors"]), "first_stage_model.")
    write_pickle(Path("vae.pt"), {**wanted, "loss.logvar": torch.zeros(())})
    result = run("convert", "vae.pt", "vae.safetensors", "--to", "original", "--json")
    assert result.code == 0 and result.json["from"] == "autoencoder"
    assert same(read_safetensors(Path("vae.safetensors")), wanted)
    base = StableDiffusion.from_pretrained(str(shelf["base.safetensors"]), vae="vae.safetensors")
    write_safetensors(Path("diffusers.safetensors"), {name: t.half() for name, t in base.vae.state_dict().items()})
    assert run("convert", "diffusers.safetensors", "again.safetensors", "--to", "original").code == 0
    assert same(read_safetensors(Path("again.safetensors")), wanted)
    for words in (["out", "--to", "diffusers"], ["out.safetensors", "--to", "original", "--base", "tiny"]):
        refused = run("convert", "vae.pt", *words)
        assert refused.code == 2 and "an autoencoder" in refused.err
    assert run("convert", "vae.pt", "vae.ckpt", "--to", "original").code == 1
