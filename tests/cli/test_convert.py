"""`zeroconv convert`: every layout there and back, what is written down with it, and nothing when anything is wrong."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.cli.conftest import Run
from tests.shelf import Shelf
from tests.tiny import build_control, randomized
from zeroconv import ControlNet, StableDiffusion
from zeroconv.checkpoints import read_config, read_safetensors, write_safetensors
from zeroconv.checkpoints.files.torch_pickle import read_pickle
from zeroconv.checkpoints.formats.controlnet_config import ControlNetConfig
from zeroconv.checkpoints.formats.controlnet_layouts import LAYOUTS
from zeroconv.checkpoints.hub.resolve import assets

WEIGHTS = "diffusion_pytorch_model.safetensors"


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(t.dtype == two[n].dtype and torch.equal(t, two[n]) for n, t in one.items())


def settings(folder: str) -> ControlNetConfig:
    return ControlNetConfig.from_dict(read_config(Path(folder)))


@pytest.fixture(scope="module")
def trained(base: StableDiffusion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A control near its base, as after training: offsets are exact."""
    network = build_control(base.unet, seed=3)
    copied = dict(base.unet.named_parameters())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in copied:
                parameter.copy_(copied[name] * 1.25)
    network.config = replace(network.config, condition="canny", base=base.name)
    return network.save_pretrained(tmp_path_factory.mktemp("controls") / "trained")


@pytest.mark.parametrize("layout", (*LAYOUTS, "sharded"))
def test_there_and_back_with_its_settings(layout: str, run: Run, trained: Path, base_folder: Path) -> None:
    out = "there" if layout in ("diffusers", "sharded") else "there.safetensors"
    offsets = layout in ("difference", "control-lora", "lllyasviel-full")
    more = ["--base", base_folder, "--rank", 4096] if offsets else []
    result = run("convert", trained, out, "--to", layout, *more, "--json")
    assert result.code == 0, result.err
    assert (result.json["from"], result.json["to"]) == ("diffusers", layout)
    assert all(Path(file).is_file() for file in result.json["files"]) and result.json["tensors"] > 300
    found = run("info", out, "--json").json
    assert found["layout"] == ("diffusers" if layout == "sharded" else layout)
    back = run("convert", out, "back", "--to", "diffusers", *more, "--json")
    assert (back.code, back.err) == (0, "")
    assert back.json["from"] == ("diffusers" if layout == "sharded" else layout)
    one, two = read_safetensors(trained / WEIGHTS), read_safetensors(Path("back") / WEIGHTS)
    if layout == "control-lora":
        assert all(torch.allclose(tensor, two[name], rtol=0, atol=1e-5) for name, tensor in one.items())
    else:
        assert same(one, two)
    assert settings("back").condition == "canny"


@pytest.mark.parametrize("layout", ["webui", "lllyasviel"])
def test_the_embedded_control_comes_back_bit_by_bit(layout: str, run: Run) -> None:
    assert run("convert", "tiny-canny", "a.pth", "--to", layout).code == 0
    result = run("convert", "a.pth", "b.safetensors", "--to", layout)
    assert result.out.splitlines() == [f"{layout} -> {layout}: 340 tensors", "b.safetensors"]
    assert run("convert", "b.safetensors", "c", "--to", "diffusers").code == 0
    assert same(read_safetensors(assets() / "tiny-canny" / WEIGHTS), read_safetensors(Path("c") / WEIGHTS))


def test_the_embedded_base_and_its_control_by_offsets(run: Run) -> None:
    for layout in ("difference", "lllyasviel-full"):
        result = run("convert", "tiny-canny", f"{layout}.safetensors", "--to", layout, "--base", "tiny", "--dtype", "fp32")
        assert result.code == 0, result.err
    full, plain = read_safetensors(Path("lllyasviel-full.safetensors")), read_safetensors(assets() / "tiny-canny" / WEIGHTS)
    assert sum(name.startswith("model.diffusion_model.") for name in full) == 686
    assert sum(name.startswith("control_model.") for name in full) == len(plain) == 340


@pytest.mark.parametrize(("name", "kind"), [("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_types(name: str, kind: torch.dtype, run: Run, trained: Path) -> None:
    for out, layout in (("a.safetensors", "webui"), ("b", "diffusers"), ("c.pth", "lllyasviel")):
        assert run("convert", trained, out, "--to", layout, "--dtype", name).code == 0
    wanted = {n: tensor.to(kind) for n, tensor in read_safetensors(trained / WEIGHTS).items()}
    assert same(read_safetensors(Path("b") / WEIGHTS), wanted)
    for tensors in (read_safetensors(Path("a.safetensors")), read_pickle(Path("c.pth"))):
        assert {tensor.dtype for tensor in tensors.values()} == {kind}


def test_what_is_there_stays_unless_it_may_be_replaced(run: Run, trained: Path) -> None:
    Path("a.safetensors").write_text("mine", "utf-8")
    result = run("convert", trained, "a.safetensors", "--to", "webui")
    assert (result.code, result.out) == (1, "") and "a.safetensors exists already: choose another name, or add" in result.err
    assert Path("a.safetensors").read_text("utf-8") == "mine"
    assert run("convert", trained, "a.safetensors", "--to", "webui", "--overwrite").code == 0
    assert run("convert", "a.safetensors", "a.safetensors", "--to", "lllyasviel", "--overwrite").code == 0  # onto itself
    assert run("info", "a.safetensors", "--json").json["layout"] == "lllyasviel"


def test_a_folder_that_is_replaced_keeps_no_weights_from_before(run: Run, trained: Path) -> None:
    words = ["convert", trained, "a", "--overwrite", "--to"]
    for layout, count in (("sharded", 2), ("diffusers", 2), ("sharded", 2)):
        result = run(*words, layout, "--shard-size", 1, "--json")
        assert result.code == 0 and len(result.json["files"]) >= count
        assert sorted(str(path) for path in Path("a").iterdir()) == sorted(result.json["files"])
        assert same(ControlNet.from_pretrained("a").state_dict(), read_safetensors(trained / WEIGHTS))


def test_settings_that_are_stated_are_written_down(run: Run, trained: Path) -> None:
    words = ["--condition", "hed", "--pooling", "--channel-order", "bgr"]
    assert run("convert", trained, "a.safetensors", "--to", "webui", *words).code == 0
    result = run("convert", "a.safetensors", "b", "--to", "diffusers")
    assert (result.code, result.err) == (0, "")
    config = settings("b")
    assert (config.condition, config.global_pool_conditions) == ("soft-edge", True)
    assert config.channel_order == "bgr"
    assert run("convert", "a.safetensors", "c", "--to", "diffusers", "--no-pooling", "--channel-order", "rgb").code == 0
    assert not settings("c").global_pool_conditions and settings("c").channel_order == "rgb"


GUESSED: list[tuple[str, str, list[str]]] = [
    ("control_v11e_sd15_shuffle.pth", "are pooled over the picture", ["--no-pooling", "--condition", "shuffle"]),
    ("control_sd15_normal.pth", "reads the channels reversed", ["--channel-order", "rgb", "--condition", "normal"]),
]


@pytest.mark.parametrize(("name", "said", "stated"), GUESSED)
def test_what_is_guessed_from_a_name_is_said(name: str, said: str, stated: list[str], run: Run, trained: Path) -> None:
    assert run("convert", trained, name, "--to", "lllyasviel").code == 0
    result = run("convert", name, "guessed", "--to", "diffusers", "--json")
    assert result.code == 0 and result.err.startswith(f"warning: {name}: guessed from its name: its condition is ")
    assert said in result.err and result.json["from"] == "lllyasviel"
    result = run("convert", name, "stated", "--to", "diffusers", *stated)
    assert (result.code, result.err) == (0, "")
    one, two = settings("guessed"), settings("stated")
    assert one.condition == two.condition == stated[-1]
    rules = [(config.global_pool_conditions, config.channel_order) for config in (one, two)]
    assert rules[0] != rules[1] == (False, "rgb")
    result = run("convert", "guessed", "again.pth", "--to", "webui")
    assert result.code == 0 and result.err.startswith("warning: again.pth is a .pth, which cannot carry settings: say when")


def test_a_strangers_control_lora_keeps_what_is_stated_or_guessed(run: Run, trained: Path, base_folder: Path) -> None:
    words = ["--base", base_folder, "--rank", 4]
    assert run("convert", trained, "own.safetensors", "--to", "control-lora", *words).code == 0
    write_safetensors(Path("control-lora-canny.safetensors"), read_safetensors(Path("own.safetensors")))
    back = ["convert", "control-lora-canny.safetensors"]
    result = run(*back, "a", "--to", "diffusers", *words)
    assert "guessed from its name: its condition is 'canny'" in result.err and settings("a").condition == "canny"
    result = run(*back, "b", "--to", "diffusers", *words, "--condition", "lines")
    assert (result.code, result.err) == (0, "") and settings("b").condition == "lines"
    result = run(*back, "c.safetensors", "--to", "control-lora", *words, "--condition", "lines")
    assert result.code == 0 and run("info", "c.safetensors", "--json").json["details"]["condition"] == "lines"
    assert same(read_safetensors(Path("c.safetensors")), read_safetensors(Path("own.safetensors")))
    result = run(*back, "d.safetensors", "--to", "control-lora", "--condition", "lines")
    assert result.code == 1 and "carries no settings to write this down in: give --base" in result.err


def test_rank_keeps_more_and_says_what_is_left_out(run: Run, control_folder: Path, base_folder: Path) -> None:
    sizes: list[int] = []
    for rank in (1, 8):
        out = Path(f"{rank}.safetensors")
        result = run("convert", control_folder, out, "--to", "control-lora", "--base", base_folder, "--rank", rank)
        assert result.code == 0 and f"warning: offsets of rank {rank} leave out " in result.err
        sizes.append(out.stat().st_size)
    assert sizes[0] < sizes[1] < (control_folder / WEIGHTS).stat().st_size
    result = run("convert", control_folder, "a.safetensors", "--to", "control-lora", "--base", base_folder)
    assert result.code == 1 and "say which, 64 for instance" in result.err


def test_a_move_to_another_base_adds_what_it_moved(run: Run, trained: Path, base_folder: Path, tmp_path: Path) -> None:
    other = StableDiffusion.from_pretrained(base_folder)
    folder = Path(shutil.copytree(base_folder, tmp_path / "community"))
    randomized(other.unet, 9)
    write_safetensors(folder / "unet" / WEIGHTS, dict(other.unet.state_dict()))
    words = ["convert", trained, "--to", "diffusers", "--base", base_folder, "--transfer-to"]
    result = run(words[0], trained, "moved", *words[2:], "community", "--json")
    assert result.code == 0 and "the encoder has moved by " in result.err and result.json["to"] == "diffusers"
    before, after = read_safetensors(trained / WEIGHTS), read_safetensors(Path("moved") / WEIGHTS)
    old, new = read_safetensors(base_folder / "unet" / WEIGHTS), dict(other.unet.state_dict())
    for name, tensor in before.items():
        moved = tensor + new[name] - old[name] if name in old else tensor
        torch.testing.assert_close(after[name], moved, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "piece"),
    [
        (["nowhere", "o", "--to", "diffusers"], "no ControlNet called 'nowhere'"),
        (["nowhere.safetensors", "o.safetensors", "--to", "original"], "no base called 'nowhere.safetensors'"),
        (["tiny-canny", "o.bin", "--to", "webui"], "expected a name ending in .safetensors or .pth, got 'o.bin'"),
        (["tiny-canny", "o", "--to", "webui"], "expected a name ending in .safetensors or .pth, got 'o'"),
        (["tiny-canny", "o.pth", "--to", "diffusers"], "the layout 'diffusers' is a folder"),
        (["tiny-canny", "o.safetensors", "--to", "difference", "--base", "big"], "no base called 'big'"),
        (["tiny-canny", "o.safetensors", "--to", "webui", "--condition", "cany"], "unknown condition 'cany'"),
        (["tiny-canny", "o.safetensors", "--to", "original"], "no base called 'tiny-canny'"),
        (["tiny", "o", "--to", "diffusers"], "is in the diffusers layout already"),
        (["tiny", "o.safetensors", "--to", "webui"], "is a base; layout is 'webui'"),
        (["tiny-canny", "way/o.safetensors", "--to", "webui"], "way/o.safetensors: Not a directory"),
        (["tiny-canny", "way/o", "--to", "diffusers"], "way/o: Not a directory"),
        (["tiny-canny", "way", "--to", "diffusers", "--overwrite"], "way is a file, the layout 'diffusers' is a folder"),
        (["tiny-canny", "room", "--to", "webui", "--overwrite"], "room is a folder, the layout 'webui' is a file"),
    ],
)
def test_what_is_wrong_is_one_line_and_writes_nothing(words: list[str], piece: str, run: Run) -> None:
    Path("way").write_text("a file in the way", "utf-8")
    Path("room").mkdir()
    result = run("convert", *words, "--json")
    assert (result.code, result.out) == (1, "")
    assert piece in result.err and result.err.startswith("error: ") and result.err.count("\n") == 1
    assert sorted(path.name for path in Path().rglob("*")) == ["room", "way"]
    assert Path("way").read_text("utf-8") == "a file in the way"


@pytest.mark.parametrize(
    "words",
    [
        ["tiny-canny"],
        ["tiny-canny", "o.safetensors"],
        ["tiny-canny", "o.safetensors", "--to", "webu"],
        ["tiny-canny", "o.safetensors", "--to", "webui", "--dtype", "fp8"],
        ["tiny-canny", "o.safetensors", "--to", "webui", "--channel-order", "gbr"],
        ["tiny-canny", "o.safetensors", "--to", "control-lora", "--rank", "0"],
        ["tiny-canny", "o", "--to", "sharded", "--shard-size", "0"],
        ["tiny-canny", "o.safetensors", "--to", "webui", "--nonsense"],
    ],
)
def test_wrong_usage_is_exit_code_2(words: list[str], run: Run) -> None:
    result = run("convert", *words)
    assert (result.code, result.out) == (2, "") and not list(Path().iterdir())


def test_a_full_disk_leaves_nothing_behind(run: Run, shelf: Shelf, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, allowed = os.replace, [2]

    def full(*places: Any) -> None:
        allowed[0] -= 1
        if allowed[0] < 0:
            raise OSError(28, "No space left on device", str(places[1]))
        replace(*places)

    monkeypatch.setattr("os.replace", full)
    for source, out, layout in ((shelf["base.safetensors"], "deep/folder", "diffusers"), (trained, "shards", "sharded")):
        allowed[0] = 2
        result = run("convert", source, out, "--to", layout, *(["--shard-size", 1] if layout == "sharded" else []))
        assert result.code == 1 and "No space left on device" in result.err
        assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("form", "settled"),
    [("the lite form", {"variant": "lite"}), ("the paper's condition encoder", {"condition_encoder": "paper"})],
)
def test_our_own_forms_are_described_and_stay_folders(form: str, settled: dict[str, Any], run: Run, base_folder: Path) -> None:
    base = StableDiffusion.from_pretrained(base_folder)
    build_control(base.unet, **settled).save_pretrained("own")
    found = run("info", "own", "--json")
    assert (found.code, found.json["kind"], found.json["family"]) == (0, "ControlNet", "SD 1.5")
    assert "bases of SD 1.5" in found.json["fits"] and found.json["details"]["widths"]
    result = run("convert", "own", "o.safetensors", "--to", "webui")
    assert (result.code, result.err) == (1, f"error: {form} has no place in the layout 'webui': write it as diffusers\n")
    assert run("convert", "own", "same", "--to", "diffusers").code == run("convert", "own", "many", "--to", "sharded").code == 0
    assert same(read_safetensors(Path("own") / WEIGHTS), read_safetensors(Path("same") / WEIGHTS))
