"""Broken and hostile files at every public door: one line each, nothing executed, memory and time bounded."""

import json
import pickle
import shutil
import struct
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.shelf import GUEST, Runs, Shelf, doors, happened, refused, refused_by_command, settle, watching
from tests.tiny import NOISE
from tests.work import little_work
from zeroconv import ControlNet, StableDiffusion
from zeroconv.checkpoints import read_safetensors
from zeroconv.checkpoints.files.shards import write_shards


@pytest.fixture(autouse=True)
def watched(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing may happen beside reading, and writing below the folder of the tests; a module called `GUEST` may lie about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with watching(tmp_path_factory.getbasetemp()):
        yield
    assert happened == []


def test_the_watch_notices_what_must_not_happen(tmp_path: Path) -> None:
    (tmp_path / f"{GUEST}.py").write_text("import os; os.system('true')", "utf-8")
    __import__(GUEST)
    with pytest.raises(OSError, match="no-such-folder"):
        Path("/no-such-folder/file").write_text("", "utf-8")
    kinds = {line.split()[0] for line in happened}
    happened.clear()
    del sys.modules[GUEST]
    assert kinds == {"import", "exec", "os.system", "open"}


@pytest.mark.parametrize("name", ["base.safetensors", "sd15-webui.safetensors", "sd15-lora.safetensors"])
@pytest.mark.parametrize("place", ["nothing", "length", "header", "tensors", "last byte"])
def test_a_truncated_file(name: str, place: str, shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = shelf[name].read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    kept = {
        "nothing": 0,
        "length": 7,
        "header": header // 2,
        "tensors": (header + len(whole)) // 2,
        "last byte": len(whole) - 1,
    }
    (tmp_path / "cut.safetensors").write_bytes(whole[: kept[place]])
    for _, call in doors(shelf, tmp_path / "cut.safetensors"):
        refused(call, r"cut\.safetensors", "cut off", "get it again")
    refused_by_command(capsys, ["info", "cut.safetensors"], "cut off")
    refused_by_command(capsys, ["convert", "cut.safetensors", "out.safetensors", "--to", "webui"], "cut off")


def hostile_header(path: Path, text: bytes) -> Path:
    """A file that is all header."""
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


ENTRY = b'"tensor":{"dtype":"U8","shape":[],"data_offsets":[0,1]},'
HEADERS = {
    "a million": b"{" + ENTRY * 1_000_000 + b'"a":0}',
    "as many as fit": b"{" + ENTRY * 450_000 + b'"a":0}',
    "spelled otherwise": b"{" + ENTRY.replace(b"dtype", b"\\u0064type") * 400_000 + b'"a":0}',
    "of metadata": b'{"__metadata__":{' + b'"key":"",' * 2_000_000 + b'"a":""}}',
    "of nothing": b'{"a":[' + b"[]," * 8_000_000 + b"[]]}",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_of_a_million_tensors_costs_nothing(kind: str, shelf: Shelf, tmp_path: Path) -> None:
    path = hostile_header(tmp_path / "many.safetensors", HEADERS[kind])
    for _, call in doors(shelf, path):
        refused(call, r"many\.safetensors (announces more than 100000 tensors|is no safetensors file)")
    spent: list[float] = []
    for _ in range(3):
        started = time.process_time()
        refused(lambda: ControlNet.from_pretrained(path))
        spent.append(time.process_time() - started)
    assert min(spent) < 0.05
    tracemalloc.start()
    refused(lambda: ControlNet.from_pretrained(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.fixture(params=["zip", "bare"])
def pickled(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A pickle with a guest in it, called as if it were none."""
    path, content = tmp_path / "trap.safetensors", {"input_hint_block.0.weight": torch.zeros(2), "guest": Runs()}
    if request.param == "zip":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))
    return path


def test_a_pickle_by_another_name_is_not_opened(pickled: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    for _, call in doors(shelf, pickled):
        refused(call, "is a PyTorch pickle, not a safetensors file: get it as safetensors")
    refused_by_command(capsys, ["info", pickled], "is a PyTorch pickle")
    refused_by_command(capsys, ["convert", pickled, "out.safetensors", "--to", "webui"], "is a PyTorch pickle")
    for ending in (".pth", ".ckpt", ".pt", ".bin"):
        path = pickled.rename(pickled.with_suffix(ending))
        for door, call in doors(shelf, path):
            refused(call, "is a pickle, which only `zeroconv convert` opens" if door in ("base", "control") else "pickle")
        refused_by_command(capsys, ["info", path], "is a pickle: only `zeroconv convert")
        for layout in ("webui", "original"):
            refused_by_command(capsys, ["convert", path, "out.safetensors", "--to", layout], "refused|not in the zip format")
        pickled = path
    assert not Path("out.safetensors").exists()


TEXTS = {
    "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n": "is a Git LFS pointer, not the file .*: download",
    "<!DOCTYPE html><html><title>404</title></html>": "is a text that begins with '<!DOCTYP', perhaps a web page: get it",
    '{"error": "Repository not found"}': "is a text that begins with",
    "any other words, and enough of them": "is no safetensors file, or was cut off: .*; get it again",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_in_place_of_a_file(text: str, shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text(text, "utf-8")
    for _, call in doors(shelf, path):
        refused(call, TEXTS[text])
    refused_by_command(capsys, ["info", path], TEXTS[text])


INDEX: list[dict[str, Any]] = [
    {"unet": [GUEST, "UNet2DConditionModel"]},
    {"unet": [f"unet.{GUEST}", "UNet2DConditionModel"]},
    {"scheduler": [GUEST, "DDIMScheduler"]},
    {"tokenizer": ["transformers_modules.guest", "CLIPTokenizer"]},
    {"_class_name": [GUEST, "StableDiffusionPipeline"]},
    {"helper": [f"{GUEST}.py", "Helper"]},
]


@pytest.mark.parametrize("change", INDEX, ids=lambda change: next(iter(change)))
def test_code_that_an_index_names_is_not_loaded(change: dict[str, Any], shelf: Shelf, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shelf["base"], tmp_path / "base"))
    for place in (tmp_path, folder, *(path for path in folder.iterdir() if path.is_dir())):
        (place / f"{GUEST}.py").write_text("import os; os.system('true')", "utf-8")
        (place / "pipeline.py").write_text("import os; os.system('true')", "utf-8")
    settle(folder / "model_index.json", **change)
    refused(lambda: StableDiffusion.from_pretrained(folder), r"its model_index\.json (asks for|names)", "expected")
    settle(folder / "model_index.json", **json.loads(shelf["base/model_index.json"].read_text("utf-8")))
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    (folder / "model_index.json").write_text(json.dumps({k: v for k, v in index.items() if k != "helper"}), "utf-8")
    StableDiffusion.from_pretrained(folder)  # what lies about is not touched


TRUSTING: dict[str, Any] = {
    "auto_map": {
        "AutoModel": f"{GUEST}.Model",
        "AutoTokenizer": [f"{GUEST}.Slow", f"{GUEST}.Fast"],
        "AutoConfig": f"{GUEST}.Config",
    },
    "trust_remote_code": True,
    "custom_pipeline": GUEST,
    "_name_or_path": f"somebody/{GUEST}",
    "custom_generate": f"somebody/{GUEST}",
    "attn_implementation": f"somebody/{GUEST}",
    "_attn_implementation": f"somebody/{GUEST}",
    "quantization_config": {"quant_method": GUEST},
}


def test_settings_that_ask_for_trust_are_passed_over(shelf: Shelf, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shelf["base"], tmp_path / "base"))
    control = Path(shutil.copytree(shelf["sd15-folder"], tmp_path / "control"))
    (tmp_path / f"{GUEST}.py").write_text("class Model: pass", "utf-8")
    for path in (*folder.rglob("*config.json"), control / "config.json"):
        (path.parent / f"{GUEST}.py").write_text("class Model: pass", "utf-8")
        settle(path, **TRUSTING)
    base, plain = StableDiffusion.from_pretrained(folder), StableDiffusion.from_pretrained(shelf["base"])
    for one, two in zip(base.networks, plain.networks, strict=True):
        wanted = two.state_dict()
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in one.state_dict().items())
    assert base.tokenizer("a red house").input_ids == plain.tokenizer("a red house").input_ids
    assert {**base.scheduler_config, **NOISE} == base.scheduler_config
    assert type(ControlNet.from_pretrained(control)) is ControlNet


HUGE = 10**9
SETTINGS: list[dict[str, Any]] = [
    {"_class_name": f"{GUEST}.Model"},
    {"layers_per_block": HUGE},
    {"layers_per_block": 8},
    {"transformer_layers_per_block": HUGE},
    {"block_out_channels": [16] * 100_000, "down_block_types": ["DownBlock2D"] * 100_000},
    {"conditioning_embedding_out_channels": [16] * 100_000},
    {"conditioning_embedding_out_channels": [HUGE] * 4},
    {"conditioning_channels": HUGE},
    {"conditioning_channels": "3"},
    {"cross_attention_dim": 10**15},
    {"attention_head_dim": 0},
    {"norm_num_groups": 0},
    {"act_fn": GUEST},
    {"down_block_types": [GUEST] * 4},
    {"mid_block_type": GUEST},
    {"global_pool_conditions": "yes"},
    {"_zeroconv": {"condition": ["canny"]}},
    {"_zeroconv": {"base": 5}},
    {"_zeroconv": {"variant": GUEST}},
    {"_zeroconv": {"variant": "lora", "rank": HUGE}},
    {"_zeroconv": {"variant": "lite"}, "layers_per_block": HUGE},
    {"_zeroconv": [GUEST]},
]


@pytest.mark.parametrize("change", SETTINGS, ids=lambda change: " ".join(f"{k}={v!r:.24}" for k, v in change.items()))
def test_hostile_settings_of_a_control_are_one_line_and_cost_nothing(
    change: dict[str, Any], shelf: Shelf, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(shelf["sd15-folder"], tmp_path / "control"))
    settle(folder / "config.json", **change)
    with little_work():
        refused(lambda: ControlNet.from_pretrained(folder, unet=shelf.base.unet), "control")


@pytest.fixture
def sharded(shelf: Shelf, tmp_path: Path) -> Path:
    """A ControlNet in several files."""
    folder = Path(shutil.copytree(shelf["sd15-folder"], tmp_path / "sharded"))
    write_shards(folder, read_safetensors(folder / "diffusion_pytorch_model.safetensors"), 200_000)
    return folder


OUTSIDE = (
    "../outside.safetensors", "{shelf}/sd15-webui.safetensors", "a\\..\\b.safetensors", "..", "", "x.bin", "a\nb.safetensors",
    "\0.safetensors",
)  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_shards_lie_beside_their_index(name: str, sharded: Path, shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(shelf["sd15-webui.safetensors"], sharded.parent / "outside.safetensors")
    index = sharded / "diffusion_pytorch_model.safetensors.index.json"
    places = json.loads(index.read_text("utf-8"))["weight_map"]
    settle(index, weight_map={**places, next(iter(places)): name.format(shelf=shelf.at)})
    piece = r"index\.json names the file .*; expected a safetensors file beside it"
    refused(lambda: ControlNet.from_pretrained(sharded), piece)
    refused_by_command(capsys, ["info", sharded], piece)


@pytest.mark.parametrize(
    ("change", "piece"),
    [
        ({"weight_map": []}, "has no weight_map"),
        ({"weight_map": {"a": 5}}, "has no weight_map"),
        ({"weight_map": {"a": "missing.safetensors"}}, r"no weight file at .*missing\.safetensors"),
        ({"weight_map": {}}, "0 tensors"),
    ],
)
def test_a_broken_index_is_one_line(change: dict[str, Any], piece: str, sharded: Path) -> None:
    settle(sharded / "diffusion_pytorch_model.safetensors.index.json", **change)
    refused(lambda: ControlNet.from_pretrained(sharded), piece)


def test_links_are_followed(shelf: Shelf, sharded: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").mkdir()
    for path in sharded.iterdir():
        (tmp_path / "linked" / path.name).symlink_to(path)
    wanted = ControlNet.from_pretrained(sharded).state_dict()
    opened = ControlNet.from_pretrained(tmp_path / "linked").state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in opened.items())
    (tmp_path / "base.safetensors").symlink_to(shelf["base.safetensors"])
    assert StableDiffusion.from_pretrained(tmp_path / "base.safetensors").family.key == "sd15"
