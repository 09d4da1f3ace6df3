"""From a name to a folder, and from a folder to tensors that fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zeroconv.checkpoints import (
    check_fit,
    embedded_names,
    read_config,
    resolve,
    write_model_folder,
    write_safetensors,
)
from zeroconv.checkpoints.files.atomic import read_json
from zeroconv.checkpoints.files.shards import WEIGHTS, read_weights

TENSORS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.zeros(2)}
SHAPES = {"conv.weight": (2, 3), "conv.bias": (2,)}


def read_and_check(folder: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """What a folder holds, after names and shapes were compared."""
    tensors = read_weights(folder)
    check_fit(tensors, shapes, f"{folder / WEIGHTS} does not fit its config.json")
    return tensors


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that comes with a base, two ControlNets, an annotator and a CLIP."""
    for name, mark in (("small", "model_index.json"), ("small-b", "config.json"), ("small-a", "config.json")):
        (tmp_path / "assets" / name).mkdir(parents=True)
        (tmp_path / "assets" / name / mark).write_text("{}", "utf-8")
    for name in ("tiny-annotator", "tiny-clip"):
        (tmp_path / "assets" / name).mkdir()
        (tmp_path / "assets" / name / "config.json").write_text("{}", "utf-8")
    monkeypatch.setattr("zeroconv.checkpoints.hub.resolve.assets", lambda: tmp_path / "assets")
    return tmp_path / "assets"


def test_names_lead_to_what_comes_with_the_package(shipped: Path) -> None:
    assert embedded_names("base") == ["small"]
    assert embedded_names("ControlNet") == ["small-a", "small-b"]
    assert embedded_names("annotator") == ["tiny-annotator"] and embedded_names("CLIP") == ["tiny-clip"]
    assert resolve("small", "base") == shipped / "small" and resolve("small-a", "ControlNet") == shipped / "small-a"


def test_other_names_are_folders_of_the_user(shipped: Path, tmp_path: Path) -> None:
    write_model_folder(tmp_path / "mine", {}, TENSORS)
    write_model_folder(tmp_path / "run" / "controlnet", {}, TENSORS)
    assert resolve(tmp_path / "mine", "ControlNet") == resolve(str(tmp_path / "mine"), "ControlNet") == tmp_path / "mine"
    assert resolve(tmp_path / "run", "ControlNet") == tmp_path / "run" / "controlnet"


@pytest.mark.parametrize("name", ["unheard-of", "small-a", "/no/such/folder"])
def test_unknown_names_are_one_line_with_the_known_ones(shipped: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=rf"^no base called '{name}': expected a folder in .*, or one of small$"):
        resolve(name, "base")


def test_a_folder_of_another_kind_is_one_line(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a base folder in the diffusers layout: it has no model_index\.json$"):
        resolve(write_model_folder(tmp_path / "mine", {}, TENSORS), "base")
    with pytest.raises(ValueError, match=r"is not a ControlNet folder in the diffusers layout: it has no config\.json$"):
        resolve(tmp_path, "ControlNet")


def test_a_model_folder_comes_back(tmp_path: Path) -> None:
    config = {"_class_name": "Some", "width": [1, 2]}
    assert write_model_folder(tmp_path / "a" / "b", config, TENSORS) == tmp_path / "a" / "b"
    back = read_and_check(tmp_path / "a" / "b", SHAPES)
    assert read_config(tmp_path / "a" / "b", "Other", "Some") == config == read_config(tmp_path / "a" / "b")
    assert all(torch.equal(back[name], tensor) for name, tensor in TENSORS.items())
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["config.json", WEIGHTS]


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"conv.weight": torch.zeros(3, 2)}, r"'conv\.weight' has shape \(3, 2\), expected \(2, 3\)$"),
        ({"conv.bias": None}, r"tensor 'conv\.bias' is missing \(1 missing, 0 unknown\)$"),
        ({"conv.extra": torch.zeros(1)}, r"tensor 'conv\.extra' is unknown \(0 missing, 1 unknown\)$"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(tensors: dict[str, Tensor | None], message: str, tmp_path: Path) -> None:
    wrong = {name: tensor for name, tensor in {**TENSORS, **tensors}.items() if tensor is not None}
    write_model_folder(tmp_path, {}, wrong)
    with pytest.raises(ValueError, match=rf"^[^\n]* does not fit its config\.json: {message}"):
        read_and_check(tmp_path, SHAPES)


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"[" * 200_000, b"[]", b"3", b'{"_class_name": "Other"}', b"{}"])
def test_a_broken_configuration_is_one_line(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"^[^\n]*config\.json (is not valid JSON|describes) [^\n]*$"):
        read_config(tmp_path, "Some")


def test_a_failure_leaves_both_files_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    write_model_folder(tmp_path, {"old": True}, TENSORS)
    for change in ({"bad": object()}, {"new": True}):
        if "new" in change:
            monkeypatch.setattr("os.replace", full)
        with pytest.raises((OSError, TypeError)):
            write_model_folder(tmp_path, change, {"other": torch.zeros(1)})
    monkeypatch.undo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", WEIGHTS]
    assert json.loads((tmp_path / "config.json").read_text("utf-8")) == {"old": True}
    assert read_and_check(tmp_path, SHAPES).keys() == TENSORS.keys()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here", "utf-8")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(OSError, match=r"^[^\n]*file[^\n]*$"):
            write_model_folder(folder, {}, TENSORS)
    assert (tmp_path / "file").read_text("utf-8") == "here"


def write_shards(folder: Path, places: object, precision: str = "") -> Path:
    """Two tensors in two files, and an index of them."""
    for i, (name, tensor) in enumerate(TENSORS.items()):
        write_safetensors(folder / f"part{i}.safetensors", {name: tensor})
    index = folder / f"model.safetensors.index{precision}.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}), "utf-8")
    return index


SHARDS = {"conv.weight": "part0.safetensors", "conv.bias": "part1.safetensors"}


@pytest.mark.parametrize("precision", ["", ".fp16"])
def test_shards_are_one_network(tmp_path: Path, precision: str) -> None:
    write_shards(tmp_path, SHARDS, precision)
    back = read_weights(tmp_path, "model")
    assert back.keys() == TENSORS.keys() and all(torch.equal(back[name], TENSORS[name]) for name in TENSORS)


def test_full_precision_is_taken_before_a_variant(tmp_path: Path) -> None:
    names = ["model.safetensors", "model.fp16.safetensors", "model.bf16.safetensors"]
    for i, name in reversed(list(enumerate(names))):
        write_safetensors(tmp_path / name, {"x": torch.tensor([float(i)])})
        assert read_weights(tmp_path, "model")["x"].item() == i


WRONG_INDEX: list[tuple[object, str]] = [
    ([], "has no weight_map from tensors to files"),
    ({"conv.weight": 3}, "has no weight_map from tensors to files"),
    ({**SHARDS, "conv.bias": "../part1.safetensors"}, r"names the file '\.\./part1\.safetensors'; expected a safe"),
    ({**SHARDS, "conv.bias": "/etc/passwd"}, "names the file '/etc/passwd'; expected a safetensors file beside it"),
    ({**SHARDS, "conv.bias": "part1.bin"}, "names the file 'part1.bin'; expected a safetensors file beside it"),
    ({"conv.weight": "part0.safetensors"} | {"extra": "part1.safetensors"}, "tensor 'conv.bias' is not in the index"),
    ({**SHARDS, "zone": "part1.safetensors"}, "tensor 'zone' is in no shard"),
]


@pytest.mark.parametrize(("places", "message"), WRONG_INDEX)
def test_an_index_that_does_not_fit_is_one_line(places: object, message: str, tmp_path: Path) -> None:
    write_shards(tmp_path, places)
    with pytest.raises(ValueError, match=rf"^[^\n]*index\.json [^\n]*{message}[^\n]*$"):
        read_weights(tmp_path, "model")


def test_weights_that_are_not_there_say_what_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no weight file at [^\n]*/model\.safetensors$"):
        read_weights(tmp_path, "model")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(FileNotFoundError, match=r"; pytorch_model\.bin is a pickle, which only `zeroconv convert` opens"):
        read_weights(tmp_path, "model")
    write_shards(tmp_path, {**SHARDS, "conv.bias": "part7.safetensors"})
    with pytest.raises(FileNotFoundError, match=r"^no weight file at [^\n]*part7\.safetensors$"):
        read_weights(tmp_path, "model")


def test_json_of_unreasonable_length_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # a file of holes, that takes no room
    with pytest.raises(ValueError, match=rf"^[^\n]*config\.json has {2**40} bytes; expected at most \d+$"):
        read_json(path)
