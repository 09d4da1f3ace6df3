"""Whole files at the wrong door: one line that says what was given, what is expected and what to do; nothing written."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.shelf import DOORS, LAYOUTS, Shelf, happened, refused, refused_by_command, settle, watching
from tests.tiny import FAMILIES, build_control, build_unet
from zeroconv import ControlNet, StableDiffusion
from zeroconv.checkpoints import read_safetensors, write_safetensors

TITLES = {"sd15": r"SD 1\.5 \(text width 768", "sd21": r"SD 2\.1 \(text width 1024", "sdxl": r"SDXL \(text width 2048"}


@pytest.fixture(autouse=True)
def watched(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing may happen beside reading, and writing below the folder of the tests; a module called `GUEST` may lie about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with watching(tmp_path_factory.getbasetemp()):
        yield
    assert happened == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", ["sd21", "sdxl"])
def test_a_control_of_another_family_names_both(family: str, layout: str, shelf: Shelf) -> None:
    path = shelf[f"{family}-folder" if layout == "folder" else f"{family}-{layout}.safetensors"]
    line = refused(
        lambda: ControlNet.from_pretrained(path, unet=shelf.base.unet).check_base(shelf.base.unet),
        f"made for {TITLES[family]}.*, the base is {TITLES['sd15']}",
        "use (a ControlNet|one) made for",
    )
    assert "[" not in line


def test_linear_projections_on_convolutions_are_noticed_where_all_widths_agree() -> None:
    control, unet = build_control(build_unet(FAMILIES["sd21"])), build_unet(FAMILIES["sd15"])
    pieces = ("made for SD 2.1 .*by linear layers", "the base is SD 1.5 .*by convolutions")
    refused(lambda: control.check_base(unet), *pieces)


@pytest.mark.parametrize("family", ["sd21", "sdxl"])
def test_a_lora_of_another_family_names_both_and_changes_nothing(family: str, shelf: Shelf) -> None:
    before = {name: tensor.clone() for name, tensor in shelf.base.unet.state_dict().items()}
    pieces = (f"made for {TITLES[family]}", f"the base is {TITLES['sd15']}", "expected a LoRA of the base's family")
    refused(lambda: shelf.base.add_lora(shelf[f"{family}-lora.safetensors"]), *pieces)
    assert all(torch.equal(tensor, before[name]) for name, tensor in shelf.base.unet.state_dict().items())
    assert shelf.base.options == {}
    shelf.base.add_lora(shelf["sd15-lora.safetensors"], 0)  # the base's own family is not refused
    shelf.base.options.clear()


NAMED = {
    "base.safetensors": "it is a Stable Diffusion: .*--base",
    "sd15-webui.safetensors": "it is a ControlNet: .*--control",
    "sd15-lllyasviel.safetensors": "it is a ControlNet: .*--control",
    "sd15-lora.safetensors": "it is a LoRA: .*--lora",
    "vae.safetensors": "it is an autoencoder .*--vae",
}
OWN = {
    "base": ("base.safetensors",),
    "control": ("sd15-webui.safetensors", "sd15-lllyasviel.safetensors"),
    "lora": ("sd15-lora.safetensors",),
    "vae": ("vae.safetensors", "base.safetensors"),
}
SWAPPED = [(door, name) for door in DOORS for name in NAMED if name not in OWN[door]]


@pytest.mark.parametrize(("door", "name"), SWAPPED)
def test_a_file_of_another_kind_is_called_by_its_name(door: str, name: str, shelf: Shelf) -> None:
    pieces = {"base": "is no Stable Diffusion in one file", "vae": "holds no autoencoder", "lora": "holds no LoRA"}
    line = refused(lambda: DOORS[door](shelf, shelf[name]), pieces.get(door, "holds no ControlNet"), NAMED[name])
    assert str(shelf[name]) in line


@pytest.mark.parametrize(
    ("door", "name", "piece"),
    [
        ("control", "base", r"it has no config\.json; its model_index\.json makes it a base: open it as one"),
        ("control", "base/unet", "describes 'UNet2DConditionModel'; expected ControlNetModel"),
        ("control", "base/vae", "describes 'AutoencoderKL'; expected ControlNetModel"),
        ("base", "sd15-folder", r"it has no model_index\.json; its config\.json describes 'ControlNetModel'"),
        ("base", "unet.safetensors", "has no text encoder: .*not a U-Net alone"),
        ("control", "unet.safetensors", "holds no ControlNet: .*it is a Stable Diffusion"),
        ("lora", "base", r"there is no LoRA at .*: expected pytorch_lora_weights\.safetensors or .* in it"),
        ("lora", "nowhere.safetensors", "there is no LoRA at .*: expected a .safetensors file"),
        ("vae", "sd15-folder", "describes 'ControlNetModel'; expected AutoencoderKL"),
        ("vae", "nowhere", "nowhere"),
        ("base", "inpainting.safetensors", r"an inpainting U-Net \(.*\): 9 channels go in; expected SD 1\.5"),
        ("base", "sd15-control-lora.safetensors", "it is a ControlNet"),
        ("control", "sd15-lora.safetensors", "holds no ControlNet: .*it is a LoRA"),
        ("control", "inpainting.safetensors", "holds no ControlNet"),
    ],
)
def test_folders_and_parts_of_another_kind(door: str, name: str, piece: str, shelf: Shelf) -> None:
    refused(lambda: DOORS[door](shelf, shelf[name]), piece)


def test_an_inpainting_folder_is_refused(shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(shelf["base"], tmp_path / "inpainting"))
    settle(folder / "unet" / "config.json", in_channels=9)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    write_safetensors(weights, {**read_safetensors(weights), "conv_in.weight": torch.zeros(16, 9, 3, 3)})
    piece = r"an inpainting U-Net \(.*\): 9 channels go in; expected SD 1\.5"
    refused(lambda: StableDiffusion.from_pretrained(folder), piece)
    for path in (folder, shelf["inpainting.safetensors"]):
        refused_by_command(capsys, ["info", path, "--json"], piece, "cannot be used here")


WRONG_FOR_CONVERT = [
    ("vae.safetensors", "webui", [], "it is an autoencoder"),
    ("vae.safetensors", "diffusers", [], "it is an autoencoder"),
    ("sd15-lora.safetensors", "lllyasviel", [], "it is a LoRA"),
    ("base.safetensors", "webui", [], "is a base; layout is 'webui', expected 'diffusers' or 'original'"),
    ("inpainting.safetensors", "diffusers", [], "an inpainting U-Net"),
    ("unet.safetensors", "diffusers", [], "has no text encoder"),
    ("sd15-webui.safetensors", "original", [], "it is a ControlNet"),
    ("sd15-webui.safetensors", "difference", [], "give the base too"),
    ("sd15-webui.safetensors", "control-lora", ["--rank", 4], "give the base too"),
    ("sd15-webui.safetensors", "lllyasviel-full", [], "give the base too"),
    ("sd15-difference.safetensors", "webui", [], "give the base it was made for too"),
    ("sd15-control-lora.safetensors", "webui", [], "give it with --base"),
    ("sd15-webui.safetensors", "lllyasviel-full", ["--base", "{base}"], "made for a base with cross_attention_dim 768"),
    ("sd21-webui.safetensors", "lllyasviel-full", ["--base", "{base}"], "made for SD 2.1 .* the base is SD 1.5"),
    ("sdxl-webui.safetensors", "difference", ["--base", "{base}"], "made for SDXL .* the base is SD 1.5"),
    ("sd21-control-lora.safetensors", "webui", ["--base", "{base}"], "made for SD 2.1 .* the base is"),
    ("sd15-webui.safetensors", "webui", ["--transfer-to", "{base}"], "give --base"),
]


@pytest.mark.parametrize(("name", "layout", "more", "piece"), WRONG_FOR_CONVERT)
def test_convert_leaves_nothing_half_written(
    name: str, layout: str, more: list[object], piece: str, shelf: Shelf, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(word).format(base=shelf["base"]) for word in more]
    out = Path("new/out" if layout == "diffusers" else "new/out.safetensors")
    refused_by_command(capsys, ["convert", shelf[name], out, "--to", layout, *words], piece)
    assert not Path("new").exists()
    out.parent.mkdir()
    if layout == "diffusers":
        out.mkdir()
    kept = out / "config.json" if layout == "diffusers" else out
    kept.write_text("what was there", "utf-8")
    refused_by_command(capsys, ["convert", shelf[name], out, "--to", layout, *words], "exists already")
    refused_by_command(capsys, ["convert", shelf[name], out, "--to", layout, *words, "--overwrite"], piece)
    assert kept.read_text("utf-8") == "what was there"
    assert [path for path in Path("new").rglob("*") if path.is_file()] == [kept]
