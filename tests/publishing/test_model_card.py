"""The model card: its front matter is YAML whatever the configuration holds, and its examples do what they say."""

import re
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from huggingface_hub import ModelCard

from tests.tiny import FAMILIES, UNION, build_control, build_map, build_unet, randomized
from zeroconv.checkpoints.formats.controlnet_config import ControlNetConfig, Variant
from zeroconv.cli import main
from zeroconv.conditions import get, names
from zeroconv.control import ControlNet
from zeroconv.messages import listen
from zeroconv.publishing import save_with_card
from zeroconv.publishing.model_card import model_card
from zeroconv.stable_diffusion import StableDiffusion

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def config_of(**fields: Any) -> ControlNetConfig:
    return ControlNetConfig(unet_settings={}, **fields)


def front(card: str) -> dict[str, Any]:
    """The front matter, as the hub's own client and a YAML reader see it."""
    found = re.match(r"---\n(.*?)\n---\n", card, flags=re.DOTALL)
    assert found is not None
    data = yaml.safe_load(found[1])
    assert ModelCard(card).data.to_dict() == data
    return data


def blocks(card: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", card, flags=re.DOTALL)


def test_front_matter_of_a_network_that_diffusers_opens() -> None:
    card = model_card(config_of(base=f"owner/base-1.5@{COMMIT}", condition="canny"), licence="apache-2.0")
    assert front(card) == {
        "license": "apache-2.0",
        "base_model": "owner/base-1.5",
        "library_name": "diffusers",
        "pipeline_tag": "image-to-image",
        "tags": ["controlnet", "stable-diffusion", "text-to-image", "zeroconv", "canny"],
    }
    assert "Licence" not in card
    assert f'from_pretrained("owner/base-1.5", revision="{COMMIT}", controlnet=control)' in card


def test_what_is_not_known_is_said() -> None:
    card = model_card(config_of())
    data = front(card)
    assert data["license"] == "other" and "base_model" not in data and len(data["tags"]) == 4
    for words in (
        "Licence: not stated",
        "did not say for which base",
        "ask its maker",
        "# ControlNet for an unnamed condition",
    ):
        assert words in card
    assert "Measured" not in card and "![" not in card


@pytest.mark.parametrize("name", names())
def test_the_contract_of_every_condition(name: str) -> None:
    card = model_card(config_of(condition=name))
    assert f"# ControlNet for {name}\n" in card and f"**{get(name).contract}**" in card
    assert f"zeroconv extract {name} photo.png" in card


def test_an_alias_is_its_condition() -> None:
    assert front(model_card(config_of(condition="openpose")))["tags"][-1] == "pose"


def test_measures_and_samples() -> None:
    card = model_card(
        config_of(), title="Edges & <more>", metrics={"edge F1": 0.55219, "with | bar": "a|b\n| c"}, samples="s 1.png"
    )
    assert "# Edges &amp; &lt;more&gt;\n" in card and "![Samples](s%201.png)" in card
    assert "| measure | value |\n|---|---|\n| edge F1 | 0.5522 |\n| with \\| bar | a\\|b \\| c |\n" in card


@pytest.mark.parametrize("variant", get_args(Variant))
def test_every_variant_says_what_it_means(variant: Variant) -> None:
    card = model_card(config_of(variant=variant, base="owner/base"))
    theirs = variant == "full"
    assert front(card)["library_name"] == ("diffusers" if theirs else "zeroconv")
    assert f"Variant `{variant}`: " in card
    assert ("diffusers has no class for this form" in card) == ("from diffusers" not in card) == (not theirs)
    assert (", unet=base.unet)" in card) == (variant == "lora")


def test_special_rules_are_told() -> None:
    changes: dict[str, Any] = {"global_pool_conditions": True, "channel_order": "bgr", "conditioning_channels": 4}
    card = model_card(config_of(**changes, connection="gaussian", condition_encoder="paper"))
    for words in ("averaged over the picture", "the order `bgr`", "reads 4 channels", "figure 8 b", "form of the paper's text"):
        assert words in card


@pytest.mark.parametrize("family", FAMILIES)
def test_the_family_of_a_real_network(family: str) -> None:
    card = model_card(build_control(build_unet(FAMILIES[family]), base="owner/base").config)
    sdxl = "sdxl" in family.lower()
    assert front(card)["tags"][1] == ("stable-diffusion-xl" if sdxl else "stable-diffusion")
    assert ("StableDiffusionXLControlNetPipeline" in card) == sdxl and ("import ControlNetModel" in card)


HOSTILE = [
    "a\n---\nlicense: mit\n---\n# b", 'quote " and \\ and \' end', "```\nimport os\n```", "`code`", "$HOME $(id) `id`; ls",
    "é ü 漢字 🙂 \ud800 \x00 \x1b[31m \u2028 \u202e \ufeff", "- key: value", "!!python/object:os.system {}", "![x](http://x.example/y.png)",
    "<script>alert(1)</script>", "| a | b |", "x" * 5000, "", "   ", "{}", "%TAG", "@x", "*a", "&b", "#c", "\t",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_the_card(text: str) -> None:
    card = model_card(config_of(base=text, condition=text), text, {text: text}, text, text, text)
    data = front(card)
    assert set(data) <= {"license", "base_model", "library_name", "pipeline_tag", "tags"} and isinstance(data["license"], str)
    assert card.encode("utf-8") and len(card) < 30_000
    assert len(re.findall(r"^---$", card, flags=re.MULTILINE)) == 2 and len(re.findall(r"^# ", card, flags=re.MULTILINE)) == 1
    assert len(re.findall(r"^```", card, flags=re.MULTILINE)) == 6
    words = re.sub(r"```.*?```|`[^`\n]*`", "", card.split("\n---\n", 1)[1], flags=re.DOTALL)
    assert "<script" not in words
    for python in blocks(card, "python"):
        compile(python, "card", "exec")
    words = shlex.split(blocks(card, "sh")[0].splitlines()[0])
    assert words[:3] == ["zeroconv", "generate", "--base"] and words[4::2] == ["--control", "--condition", "--prompt", "--out"]


def test_a_folder_of_its_maker_is_not_published(tmp_path: Path) -> None:
    card = model_card(config_of(base=str(tmp_path / "bases" / "mine")))
    assert str(tmp_path) not in card and "for the base `mine`" in card and "base_model" not in front(card)


def test_its_commands_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        shlex.split(line, comments=True) for line in blocks(model_card(config_of(condition="canny")), "sh")[0].splitlines()
    ]
    assert [words[1] for words in lines] == ["generate", "extract"]
    for words in lines:
        assert words[0] == "zeroconv" and main([words[1], "--help"]) == 0
        assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))


def test_its_extractor_is_told_what_it_was_told_in_training(tmp_path: Path) -> None:
    folder, name = str(tmp_path / "mine"), "a b'`$(true)\n"
    extract = {"method": "dpt", "weights": folder, "safe": True, name: "x\ny", "resolution": 384}
    card = model_card(config_of(condition="depth", extract=extract))
    words = shlex.split(blocks(card, "sh")[0].splitlines()[1], comments=True)
    assert folder not in card
    assert [word for before, word in pairwise(words) if before == "--set"] == [
        "method=dpt",
        "weights=mine",
        "safe=True",
        "a b''$(true)=x y",
    ]
    assert words[-4:] == ["--resolution", "384", "--out", "maps"]
    assert "zeroconv extract depth photo.png --out maps" in model_card(config_of(condition="depth"))


@pytest.mark.parametrize("which", [0, 1], ids=["zeroconv", "diffusers"])
def test_its_python_makes_a_picture(
    which: int, base: StableDiffusion, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random").symlink_to(base_folder)
    control = build_control(base.unet, seed=1, base="random")
    control.save_pretrained(tmp_path / "this-folder")
    build_map(base.size, base.size).save(tmp_path / "map.png")
    monkeypatch.chdir(tmp_path)
    python, count = re.subn(
        "num_inference_steps=20", "num_inference_steps=1", blocks(model_card(control.config), "python")[which]
    )
    assert count == 1
    exec(compile(python, "card", "exec"), {})
    assert (tmp_path / "picture.png").is_file()


@pytest.mark.parametrize("which", [0, 1], ids=["zeroconv", "diffusers"])
@pytest.mark.parametrize(("condition", "mode"), [("depth", 1), ("lineart", 3), (None, 0)])
def test_the_python_of_a_union_makes_a_picture(
    condition: str | None, mode: int, which: int, xl: StableDiffusion, xl_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "your-base").symlink_to(xl_folder)
    randomized(ControlNetUnionModel(**UNION), 3).save_pretrained(tmp_path / "theirs")
    network = ControlNet.from_pretrained(tmp_path / "theirs", condition=condition)
    save_with_card(network, tmp_path / "this-folder")
    card = (tmp_path / "this-folder" / "README.md").read_text("utf-8")
    assert front(card)["library_name"] == "diffusers" and f"control_mode=[{mode}]" in card
    assert "0 pose; 1 depth; 2 soft-edge or scribble; 3 canny or lineart or lines;" in card
    assert f"--control 'this-folder#{condition or 'pose'}'" in blocks(card, "sh")[0]
    build_map(xl.size, xl.size).save(tmp_path / "map.png")
    monkeypatch.chdir(tmp_path)
    python = blocks(card, "python")[which].replace("num_inference_steps=20", "num_inference_steps=1")
    with listen(lambda _: None):  # random colours are no map
        exec(compile(python, "card", "exec"), {})
    assert (tmp_path / "picture.png").is_file()


@pytest.mark.parametrize("which", [0, 1], ids=["zeroconv", "diffusers"])
def test_the_card_of_several_conditions_says_each_and_its_python_makes_a_picture(
    which: int, base: StableDiffusion, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random").symlink_to(base_folder)
    control = build_control(base.unet, seed=1, base="random", conditioning_channels=6)
    control.config = replace(control.config, condition="canny+depth", extract={"canny.low": 5})
    control.save_pretrained(tmp_path / "this-folder")
    card = model_card(control.config)
    assert (
        front(card)["tags"][-2:] == ["canny", "depth"]
        and "2 maps of one picture together, in this order: **canny**: RGB" in card
    )
    commands = blocks(card, "sh")[0].splitlines()
    assert "--condition canny=canny.png --condition depth=depth.png --prompt" in commands[0]
    assert [line.partition("    #")[0] for line in commands[1:]] == [
        "zeroconv extract canny photo.png --set low=5 --out maps",
        "zeroconv extract depth photo.png --out maps",
    ]
    for name in ("canny", "depth"):
        build_map(base.size, base.size).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    python = blocks(card, "python")[which].replace("num_inference_steps=20", "num_inference_steps=1")
    with listen(lambda _: None):  # random colours are no map
        exec(compile(python, "card", "exec"), {})
    assert (tmp_path / "picture.png").is_file()
