"""`zeroconv info`: what every kind of file is, in every layout, for people and as one JSON object."""

from hashlib import sha256
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Run
from tests.shelf import LAYOUTS, Shelf
from tests.tiny import FAMILIES, build_control, build_unet
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.shards import write_shards

TITLES = {"sd15": "SD 1.5", "sd21": "SD 2.1", "sdxl": "SDXL"}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_control_in_every_layout(family: str, layout: str, run: Run, shelf: Shelf) -> None:
    path = shelf[f"{family}-folder" if layout == "folder" else f"{family}-{layout}.safetensors"]
    result = run("info", path, "--json")
    assert (result.code, result.err) == (0, "")
    found = result.json
    assert (found["kind"], found["layout"]) == ("ControlNet", layout.replace("folder", "diffusers"))
    assert found["family"] == TITLES[family] and TITLES[family] in found["fits"] and found["refused"] is None
    file = path / "diffusion_pytorch_model.safetensors" if path.is_dir() else path
    tensors = read_safetensors(file)
    assert found["parameters"] == sum(tensor.numel() for tensor in tensors.values())
    assert found["dtypes"] == {"F32": len(tensors)} and found["bytes"] == file.stat().st_size
    assert found["sha256"] == sha256(file.read_bytes()).hexdigest()
    needs_base = layout in ("difference", "control-lora")
    assert found["missing"] == (["the base it was made for"] if needs_base else [])


def test_a_base_in_both_layouts(run: Run, shelf: Shelf) -> None:
    file, folder = run("info", shelf["base.safetensors"], "--json").json, run("info", shelf["base"], "--json").json
    assert [found["kind"] for found in (file, folder)] == ["base", "base"]
    assert [found["layout"] for found in (file, folder)] == ["original", "diffusers"]
    assert [found["family"] for found in (file, folder)] == ["SD 1.5", "SD 1.5"]
    assert file["dtypes"] == {"F16": len(read_safetensors(shelf["base.safetensors"]))} and file["missing"] == []
    assert file["details"]["prediction"] == "epsilon (according to the family)" and folder["details"]["prediction"] == "epsilon"
    assert "ControlNets and LoRAs made for SD 1.5" in file["fits"] and folder["sha256"] is None


@pytest.mark.parametrize(
    ("name", "kind", "piece"),
    [
        ("vae.safetensors", "VAE", "--vae"),
        ("sd21-lora.safetensors", "LoRA", "SD 2.1 bases: `--lora sd21-lora.safetensors:WEIGHT`"),
        ("base/vae", "VAE", "--vae"),
        ("base/unet", "U-Net", ""),
    ],
)
def test_parts_and_loras(name: str, kind: str, piece: str, run: Run, shelf: Shelf) -> None:
    found = run("info", shelf[name], "--json").json
    assert found["kind"] == kind and piece in found["fits"]


def test_embedded_names_and_lines_for_people(run: Run) -> None:
    for name, kind in (("tiny", "base"), ("tiny-canny", "ControlNet")):
        result = run("info", name)
        lines = dict(line.split(maxsplit=1) for line in result.out.splitlines() if len(line.split()) > 1)
        assert (result.code, result.err, lines["kind"], lines["family"]) == (0, "", kind, "SD 1.5")
        assert lines["size"].endswith("MB")
    assert run("info", "tiny-canny", "--json").json["details"]["condition"] == "canny"


def test_the_size_of_a_file_and_of_its_pictures_are_two_things(run: Run, shelf: Shelf) -> None:
    lines = run("info", shelf["base.safetensors"]).out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("size")] == ["MB"]
    assert [line.split()[-2] for line in lines if line.startswith("made for")] == ["512"]


def test_shards_and_what_a_converted_file_carries(run: Run, control_folder: Path) -> None:
    write_shards(Path("many"), read_safetensors(control_folder / "diffusion_pytorch_model.safetensors"), 200_000)
    Path("many/config.json").write_bytes((control_folder / "config.json").read_bytes())
    found = run("info", "many", "--json").json
    assert (found["layout"], found["sha256"]) == ("diffusers, sharded", None)
    assert found["parameters"] == run("info", control_folder, "--json").json["parameters"]
    words = ["--condition", "hed", "--pooling", "--channel-order", "bgr"]
    assert run("convert", control_folder, "a.safetensors", "--to", "webui", *words).code == 0
    details = run("info", "a.safetensors", "--json").json["details"]
    assert (details["condition"], details["global pooling"], details["channel order"]) == ("soft-edge", "True", "bgr")


def test_what_cannot_be_used_is_shown_and_is_exit_code_1(run: Run, shelf: Shelf) -> None:
    result = run("info", shelf["inpainting.safetensors"], "--json")
    assert result.code == 1 and "inpainting U-Net" in result.json["refused"] and result.json["fits"] == ""
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert "use with       nothing here" in run("info", shelf["inpainting.safetensors"]).out
    write_safetensors(Path("flux.safetensors"), {"double_blocks.0.img_attn.qkv.weight": torch.zeros(2)})
    result = run("info", "flux.safetensors", "--json")
    assert (result.code, result.json["kind"], result.json["family"]) == (1, "a FLUX.1 transformer", None)


def test_what_is_not_there_or_nothing_is_one_line(run: Run, shelf: Shelf) -> None:
    Path("empty").mkdir()
    wrong = {"nowhere": "there is no file or folder nowhere", "empty": "is no model folder", shelf["base/tokenizer"]: "is no"}
    for path, piece in wrong.items():
        result = run("info", path, "--json")
        assert (result.code, result.out) == (1, "") and piece in result.err and result.err.count("\n") == 1
    assert run("info").code == run("info", "tiny", "--nonsense").code == run("info", "tiny", "tiny").code == 2


def test_what_a_stranger_wrote_into_a_file_steers_no_terminal(run: Run) -> None:
    title = {"modelspec.title": "\x1b[2Jgone\nkind           base " + "x" * 1000}
    shapes = {name: tensor[:1, :1] for name, tensor in build_unet().state_dict().items() if tensor.ndim > 1}
    tensors = {f"lora_unet_{name}.lora_down.weight\x1b[2J": tensor.contiguous() for name, tensor in shapes.items()}
    write_safetensors(Path("a.safetensors"), tensors, title)
    result = run("info", "a.safetensors")
    assert "\x1b" not in result.out + result.err
    assert all(len(line) < 600 for line in result.out.splitlines())


def test_the_hash_can_be_left_out(run: Run, shelf: Shelf) -> None:
    assert run("info", shelf["vae.safetensors"], "--json", "--no-hash").json["sha256"] is None
    lines = run("info", shelf["vae.safetensors"], "--no-hash").out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("sha256")] == ["not asked for"]


def test_connections_that_are_still_zero_are_said(run: Run, shelf: Shelf) -> None:
    tensors = read_safetensors(shelf["sd15-webui.safetensors"])
    assert "connections" not in run("info", shelf["sd15-webui.safetensors"], "--json").json["details"]
    one = {name: torch.zeros_like(tensor) for name, tensor in tensors.items() if name.startswith("zero_convs.1.0.")}
    write_safetensors(Path("a.safetensors"), {**tensors, **one})
    said = run("info", "a.safetensors", "--json").json["details"]["connections"]
    assert said == "1 of 13 connections exactly zero (the first is zero_convs.1.0.weight): never trained here, no effect"
    write_safetensors(Path("b.safetensors"), {n: torch.zeros_like(t) if n.startswith(("zero_", "middle_block_out")) else t
                                              for n, t in tensors.items()})  # fmt: skip
    assert run("info", "b.safetensors", "--json").json["details"]["connections"].startswith("all connections exactly zero")
    stranger = {"control_layers.0.after_proj.weight": torch.zeros(2, 2), "control_all_x_embedder.2-1.weight": torch.ones(2, 2)}
    write_safetensors(Path("c.safetensors"), stranger)
    assert "never trained here" in run("info", "c.safetensors", "--json").json["details"]["connections"]
    build_control(build_unet()).save_pretrained("new")
    for name, tensor in (new := read_safetensors(Path("new/diffusion_pytorch_model.safetensors"))).items():
        tensor.zero_() if name.startswith(("controlnet_down", "controlnet_mid")) else None
    write_safetensors(Path("new/diffusion_pytorch_model.safetensors"), new)
    assert "all connections" in run("info", "new", "--json").json["details"]["connections"]
