"""States that processes divide among them: the same promises as for whole ones."""

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from tests.training.test_checkpoints import CALLS, TENSORS, load, saved
from zeroconv.training.processes import Processes
from zeroconv.training.run_folder.checkpoints import Checkpoints
from zeroconv.training.run_folder.folder import RunFolder
from zeroconv.training.run_folder.parts import read_parts_like
from zeroconv.training.run_folder.saver import save_divided

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")  # one process writes for all of them here


def save_parts(folder: Path, step: int) -> RunFolder:
    """A run folder to which a state in parts was added."""
    run = RunFolder(folder)
    assert run.checkpoints.load() is not None
    tensors = {name: tensor + step for name, tensor in TENSORS.items()}
    save_divided(run, step, tensors, {"config": f"step {step}"}, Processes())
    return run


def test_parts_are_a_state_as_any_other(tmp_path: Path) -> None:
    saved(tmp_path / "state", 2, 4)
    run = save_parts(tmp_path, 6)
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["step-0000004", "step-0000006"]
    assert load(tmp_path / "state") == (6, [])
    found = Checkpoints(tmp_path / "state").load(tensors=False)
    assert found is not None and found.step == 6 and not found.tensors
    before = (tmp_path / "state" / "step-0000006").stat().st_ino
    save_divided(run, 6, TENSORS, {}, Processes())  # known to be whole: it stays
    assert (tmp_path / "state" / "step-0000006").stat().st_ino == before


@pytest.mark.parametrize("step", [4, 6])
def test_a_reader_of_parts_reads_whole_states_too(tmp_path: Path, step: int) -> None:
    saved(tmp_path / "state", 2, 4)
    save_parts(tmp_path, 6)
    tensors = read_parts_like(tmp_path / "state" / f"step-000000{step}", lambda _: None)
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], tensor + step) for name, tensor in TENSORS.items())


@pytest.mark.parametrize("name", ["manifest.json", "shard-00001-model-00001-of-00001.safetensors"])
def test_damage_to_a_part_is_noticed(tmp_path: Path, name: str) -> None:
    saved(tmp_path / "state", 2, 4)
    save_parts(tmp_path, 6)
    path = tmp_path / "state" / "step-0000006" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 8
    path.write_bytes(data)
    step, told = load(tmp_path / "state")
    assert step == 4 and [message.code for message in told] == ["run.damaged-state"]


def test_a_fault_at_any_call_of_the_system_leaves_a_good_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, failed_at = 0, -1

    def watch(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **options: object) -> object:
            nonlocal counted
            counted += 1
            if 0 <= failed_at < counted:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)

    (tmp_path / "template").mkdir()
    saved(tmp_path / "template" / "state", 2, 4)
    for name in CALLS:
        watch(name)
    shutil.copytree(tmp_path / "template", tmp_path / "count")
    counted = 0
    save_parts(tmp_path / "count", 6)
    calls = counted
    assert calls >= 6
    for number in range(calls):
        failed_at = -1
        folder = tmp_path / f"fault-{number}"
        shutil.copytree(tmp_path / "template", folder)
        counted, failed_at = 0, number
        try:
            save_parts(folder, 6)
        except OSError as caught:
            text = str(caught)
            assert str(folder) in text and "No space left on device" in text and "MiB" in text and "\n" not in text
        failed_at = -1
        step, told = load(folder / "state")
        assert step in (4, 6) and told == []
