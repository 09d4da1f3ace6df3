"""Published `.pth` files: tensors come back bit by bit, and nothing else is read, run or believed."""

import os
import pickle
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from zeroconv.checkpoints.files.safetensors import read_header
from zeroconv.checkpoints.files.torch_pickle import PICKLE_BYTES, read_pickle, write_pickle

TENSORS = {
    "a.weight": torch.arange(12, dtype=torch.float16).view(3, 4),
    "b": torch.tensor(3),
    "c": torch.arange(6.0).view(2, 3).bfloat16(),
}

events: list[str] = []
listening = [False]


def listen(event: str, arguments: Any) -> None:
    if listening[0] and event in ("os.mkdir", "os.system", "subprocess.Popen", "socket.connect", "os.exec", "exec", "compile"):
        events.append(f"{event} {arguments}")


sys.addaudithook(listen)


@pytest.fixture
def audited() -> Iterator[list[str]]:
    """What was executed meanwhile."""
    events.clear()
    listening[0] = True
    yield events
    listening[0] = False


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(one[n].dtype == two[n].dtype and torch.equal(one[n], two[n]) for n in one)


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    write_pickle(tmp_path / "a.pth", TENSORS)
    assert same(read_pickle(tmp_path / "a.pth"), TENSORS)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_views_are_written_without_what_lies_around_them(tmp_path: Path) -> None:
    large = torch.zeros(1000, 1000)
    write_pickle(tmp_path / "a.pth", {"view": large[:2, :2], "row": large[5]})
    assert (tmp_path / "a.pth").stat().st_size < 10_000
    assert read_pickle(tmp_path / "a.pth")["row"].shape == (1000,)


@pytest.mark.parametrize("wrapper", ["state_dict", "module"])
def test_wrapped_tensors_are_found_and_other_entries_left(wrapper: str, tmp_path: Path) -> None:
    content = {wrapper: {**TENSORS, "name": "text"}, "global_step": 3, "callbacks": {}}
    torch.save(content, tmp_path / "a.ckpt")
    assert same(read_pickle(tmp_path / "a.ckpt"), TENSORS)


class Runs:
    """A guest that would run a program when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("intruder",)


def test_a_file_that_would_run_a_program_is_refused_and_runs_nothing(tmp_path: Path, audited: list[str]) -> None:
    torch.save({"a.weight": torch.zeros(2), "guest": Runs()}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth holds more than tensors .* and was refused"):
        read_pickle(tmp_path / "a.pth")
    assert audited == []


def test_a_training_programs_bookkeeping_is_read_as_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the published `.ckpt` files of SD 1.x and 2.x: a class that is not installed here, and numbers of numpy."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = types.ModuleType(name)
    kind = type("ModelCheckpoint", (), {"__module__": name})
    setattr(module, "ModelCheckpoint", kind)  # noqa: B010
    with monkeypatch.context() as installed:
        for part in ("pytorch_lightning", "pytorch_lightning.callbacks", name):
            installed.setitem(sys.modules, part, module)
        state = kind()
        vars(state)["best"] = np.float64(0.5)
        torch.save({"state_dict": TENSORS, "callbacks": {kind: {"score": np.float64(1)}, "state": state}}, tmp_path / "a.ckpt")
    assert same(read_pickle(tmp_path / "a.ckpt"), TENSORS)


def test_what_was_refused_is_named(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2), "guest": Runs()}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"holds more than tensors \((posix|nt)\.mkdir\) and was refused"):
        read_pickle(tmp_path / "a.pth")


def test_a_bare_pickle_is_refused_and_runs_nothing(tmp_path: Path, audited: list[str]) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"guest": Runs()}))
    with pytest.raises(ValueError, match="not in the zip format"):
        read_pickle(tmp_path / "a.pth")
    assert audited == []


@pytest.mark.parametrize("name", ["zip", "bare"])
def test_a_pickle_named_safetensors_is_told_by_its_first_bytes(name: str, tmp_path: Path, audited: list[str]) -> None:
    path = tmp_path / "a.safetensors"
    if name == "zip":
        torch.save({"guest": Runs()}, path)
    else:
        path.write_bytes(pickle.dumps({"guest": Runs()}) * 9)
    with pytest.raises(ValueError, match="is a PyTorch pickle, not a safetensors file"):
        read_header(path)
    assert audited == []


def test_a_pointer_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1445157124\n"
    (tmp_path / "a.safetensors").write_text(text, "utf-8")
    with pytest.raises(ValueError, match="is a Git LFS pointer"):
        read_header(tmp_path / "a.safetensors")


def test_a_view_that_repeats_a_small_memory_is_refused(tmp_path: Path) -> None:
    torch.save({"huge": torch.zeros(1).expand(2**20, 2**20)}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 10_000
    with pytest.raises(ValueError, match="'huge' is not stored as plain numbers"):
        read_pickle(tmp_path / "a.pth")


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    torch.save({"zeros": torch.zeros(2**18)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "a.pth", "w") as packed:
        for record in plain.infolist():
            packed.writestr(record.filename, plain.read(record), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="is compressed or has more than"):
        read_pickle(tmp_path / "a.pth")


def test_an_endless_description_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"]" * PICKLE_BYTES)
    with pytest.raises(ValueError, match=f"at most {PICKLE_BYTES} are read"):
        read_pickle(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [[1, 2], {}, {"step": 3}, torch.zeros(2)])
def test_files_without_named_tensors_are_one_line(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"named tensor") as caught:
        read_pickle(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 200, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_one_line(keep: float, tmp_path: Path) -> None:
    write_pickle(tmp_path / "a.pth", {"a": torch.zeros(10_000)})
    raw = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(raw[: int(keep * len(raw)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match="was cut off") as caught:
        read_pickle(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_missing_folder_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weight file at"):
        read_pickle(tmp_path / "a.pth")
    with pytest.raises(OSError, match=r"cannot write .*a\.pth"):
        write_pickle(tmp_path / "none" / "a.pth", TENSORS)
    assert not (tmp_path / "none").exists()
