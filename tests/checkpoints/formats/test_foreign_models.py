"""Files of other families: every door and `info` call them by the same name, and none is opened."""

from pathlib import Path

import pytest
import torch

from tests.foreign_models import BUILT, CONTROL_LORAS, PUBLISHED, names_of, tensors_of
from tests.loras import build_parts
from tests.shelf import DOORS, Shelf, refused, refused_by_command
from zeroconv.checkpoints import write_safetensors
from zeroconv.checkpoints.formats.foreign_models import FOREIGN_MODELS, PARTS, find
from zeroconv.checkpoints.formats.identify import foreign_model, identify, part_alone
from zeroconv.checkpoints.formats.textual_inversion import read_embedding
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.cli import main

FILES = [*(("built", kind) for kind in BUILT), *(("published", kind) for kind in PUBLISHED)]


@pytest.mark.parametrize(("source", "kind"), FILES)
def test_every_door_calls_it_by_the_name_that_info_gives(source: str, kind: str, shelf: Shelf, tmp_path: Path) -> None:
    names = names_of(kind) if source == "built" else PUBLISHED[kind]
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {name: torch.rand(2, 2) for name in names})
    contents = describe(path, hashed=False)
    assert contents.kind.startswith(kind) and contents.fits == ""
    assert str(contents.refused).startswith(f"it is {contents.kind}, which this project does not open")
    for door in DOORS:
        refused(lambda door=door: DOORS[door](shelf, path), f"it is {contents.kind}".replace("(", r"\(").replace(")", r"\)"))


ANSWERED = ["a hypernetwork", *CONTROL_LORAS][:2]  # a network and a low-rank one: the doors below the commands know them all
OTHERS = [kind for kind in ("a GLIGEN", "a PhotoMaker", "a ControlNet for HunyuanDiT", *CONTROL_LORAS) if kind not in ANSWERED]


@pytest.mark.parametrize("kind", [*ANSWERED, *(pytest.param(kind, marks=pytest.mark.slow) for kind in OTHERS)])
def test_every_command_gives_the_same_answer(
    kind: str, shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.safetensors"
    write_safetensors(path, tensors_of(kind))
    answer = f"it is {kind.removesuffix(' (diffusers)')}, which this project does not open"
    picture = ["--prompt", "x", "--out", tmp_path / "out", "--size", "64x64", "--steps", 1]
    calls: tuple[list[object], ...] = (
        ["info", path],
        *(["convert", path, tmp_path / name, "--to", to] for name, to in (("x", "diffusers"), ("x.safetensors", "original"))),
        ["generate", "--base", path, *picture],
        ["generate", "--base", "tiny", "--control", path, "--condition", path, *picture],
        *(["generate", "--base", "tiny", option, path, *picture] for option in ("--lora", "--vae", "--embedding")),
    )
    for words in calls:
        refused_by_command(capsys, words, answer)
    refused(lambda: read_embedding(path), answer)


@pytest.mark.parametrize("name", ["img_in", "x_embedder"])
def test_a_lora_that_reads_latents_alone_is_no_control_lora(name: str, shelf: Shelf, tmp_path: Path) -> None:
    """LoRAs for Krea-2 and Qwen-Image have the layer that latents go in by, too."""
    path = tmp_path / "a.safetensors"
    block = "transformer.transformer_blocks.0.attn.to_gate"
    write_safetensors(
        path, {f"transformer.{name}.lora_A.weight": torch.rand(8, 64), f"{block}.lora_A.weight": torch.rand(8, 8)}
    )
    contents = describe(path, hashed=False)
    assert (contents.kind, "is a LoRA for Krea-2" in str(contents.refused)) == ("LoRA", True)
    for door in DOORS:
        refused(lambda door=door: DOORS[door](shelf, path), "is a LoRA for Krea-2")


def hypernetwork() -> dict[object, object]:
    """As web UI saves one: for each width a network for keys and one for values, and settings."""
    pair = tuple({"linear.0.weight": torch.rand(16, 8), "linear.0.bias": torch.rand(16)} for _ in range(2))
    return {"step": 10, "name": "style", "layer_structure": [1, 2, 1], 768: pair, 320: pair}


PICKLES = {
    "a hypernetwork": hypernetwork,
    "a PhotoMaker": lambda: {"id_encoder": {"fuse_module.mlp1.fc1.weight": torch.rand(4, 4)}, "lora_weights": {}},
    "an IP-Adapter": lambda: {
        "image_proj": {"proj.weight": torch.rand(4, 4)},
        "ip_adapter": {"1.to_k_ip.weight": torch.rand(4, 4)},
    },
}


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles_of_several_networks_are_named(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(PICKLES[kind](), tmp_path / "a.pt")
    refused_by_command(capsys, ["info", tmp_path / "a.pt"], "only `zeroconv convert")
    for out, to in (("x", "diffusers"), ("x.safetensors", "original")):
        refused_by_command(capsys, ["convert", tmp_path / "a.pt", tmp_path / out, "--to", to], f"it is {kind}")
    assert main(["convert", str(tmp_path / "a.pt"), str(tmp_path / "b.safetensors"), "--to", "safetensors"]) == 0
    refused_by_command(capsys, ["info", tmp_path / "b.safetensors"], f"it is {kind}")


def test_nothing_of_ours_is_foreign(shelf: Shelf) -> None:
    for path in sorted(shelf.at.glob("*.safetensors")):
        kind = describe(path, hashed=False).kind
        assert kind in ("base", "ControlNet", "LoRA", "VAE", "U-Net"), path.name
    for family in ("sd15", "sd21", "sdxl"):
        names = [f"model.diffusion_model.{name}" for name in build_parts(family).shapes()]
        shapes = dict.fromkeys(names, (4, 4))
        assert find(names, FOREIGN_MODELS) is None and "which this project does not open" not in identify(shapes)


def test_a_lora_for_another_family_is_a_lora() -> None:
    assert foreign_model({"transformer_blocks.0.img_mlp.net.2.lora_A.weight": (4, 4)}) is None
    assert part_alone(["text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"]) is None


def test_a_mark_begins_at_a_word() -> None:
    assert find(["controlnet_x_embedder.weight"], FOREIGN_MODELS) == find(
        ["module.controlnet_x_embedder.weight"], FOREIGN_MODELS
    )
    assert find(["my_controlnet_x_embedder.weight"], FOREIGN_MODELS) is None


def test_every_kind_can_be_reached() -> None:
    """No earlier one has all the marks of a later one that is called otherwise."""
    for table in (FOREIGN_MODELS, PARTS):
        for kind in table:
            found = find([mark + "x" for mark in kind.marks], table)
            assert found is not None and found.what == kind.what, kind
