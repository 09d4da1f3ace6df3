"""Saved states: whole or not there, verified before use, two of them kept; damage and full disks are said."""

import errno
import json
import os
import random
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from zeroconv.errors import InputError
from zeroconv.messages import Message, listen
from zeroconv.training.run_folder import checkpoints
from zeroconv.training.run_folder.checkpoints import Checkpoints

TENSORS = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.tensor(7)}


def saved(folder: Path, *steps: int) -> Checkpoints:
    """A folder with states, each of which is told from the others by its numbers."""
    states = Checkpoints(folder)
    for step in steps:
        states.save(step, {name: tensor + step for name, tensor in TENSORS.items()}, {"config": f"step {step}"})
    states.wait()
    return states


def load(folder: Path) -> tuple[int | None, list[Message]]:
    """The step of the state that is taken, which must be as it was written, and what was said."""
    told: list[Message] = []
    with listen(told.append):
        found = Checkpoints(folder).load()
    if found is None:
        return None, told
    assert found.facts == {"config": f"step {found.step}"}
    assert all(torch.equal(found.tensors[name], tensor + found.step) for name, tensor in TENSORS.items())
    return found.step, told


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 5, 9)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000005", "step-0000009"]
    assert load(tmp_path) == (9, [])


def test_without_a_state_there_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "state") == (None, [])


def test_states_of_earlier_versions_are_refused_and_stay(tmp_path: Path) -> None:
    (tmp_path / "step.json").write_text("{}")
    with pytest.raises(InputError, match="an earlier version of zeroconv: choose another --out, or --fresh"):
        load(tmp_path)
    assert (tmp_path / "step.json").exists()


def test_tensors_are_those_of_the_moment_they_were_given(tmp_path: Path) -> None:
    tensor, states = torch.zeros(1000), Checkpoints(tmp_path)
    states.save(1, {"a": tensor}, {})
    tensor += 1
    states.wait()
    found = Checkpoints(tmp_path).load()
    assert found is not None and not found.tensors["a"].any()


def test_a_state_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    states = saved(tmp_path, 3)
    before = (tmp_path / "step-0000003").stat().st_ino
    states.save(3, TENSORS, {})
    states.wait()
    assert (tmp_path / "step-0000003").stat().st_ino == before


def damage(path: Path, kind: str, drawn: random.Random, other: Path) -> None:
    """Change a file in one of the ways that disks and people do."""
    data = bytearray(path.read_bytes())
    if kind == "flip":
        data[drawn.randrange(len(data))] ^= 1 << drawn.randrange(8)
    elif kind == "cut":
        del data[drawn.randrange(len(data)) :]
    elif kind == "zeros":
        first = drawn.randrange(len(data))
        part = data[first : first + 64]
        data[first : first + 64] = bytes(len(part))
        if not any(part):
            data[first] = 1
    elif kind == "grow":
        data += bytes(drawn.randrange(1, 9))
    else:
        data = bytearray((other / path.name).read_bytes())
    path.write_bytes(data)


def corrupt(folder: Path, count: int, seed: int) -> None:
    """Damage one file of the newest of two states, `count` times; it is noticed each time, and the older one is taken."""
    saved(folder, 2, 4)
    newest, older, drawn = folder / "step-0000004", folder / "step-0000002", random.Random(seed)
    files = {path: path.read_bytes() for path in newest.iterdir()}
    for number in range(count):
        path, kind = drawn.choice(list(files)), drawn.choice(("flip", "cut", "zeros", "grow", "swap"))
        damage(path, kind, drawn, older)
        if path.read_bytes() != files[path]:
            step, told = load(folder)
            assert step == 2, (number, path.name, kind)
            assert [message.code for message in told] == ["run.damaged-state"]
        path.write_bytes(files[path])
    assert load(folder) == (4, [])


def test_every_corruption_is_noticed_before_a_tensor_is_used(tmp_path: Path) -> None:
    corrupt(tmp_path, 300, seed=0)


@pytest.mark.soak
def test_ten_thousand_corruptions(tmp_path: Path) -> None:
    corrupt(tmp_path, 10_000, seed=1)


def test_states_that_were_exchanged_are_noticed(tmp_path: Path) -> None:
    saved(tmp_path, 2, 4)
    for one, other in (("step-0000002", "old"), ("step-0000004", "step-0000002"), ("old", "step-0000004")):
        (tmp_path / one).rename(tmp_path / other)
    step, told = load(tmp_path)
    assert step is None and len(told) == 2 and "manifest.json is of step 2" in told[0].text


def test_a_damaged_state_goes_when_the_next_one_is_written(tmp_path: Path) -> None:
    saved(tmp_path, 2, 4)
    (tmp_path / "step-0000004" / "state.safetensors").write_bytes(b"")
    states = Checkpoints(tmp_path)
    with listen(lambda _: None):
        assert states.load() is not None
    states.save(4, {name: tensor + 4 for name, tensor in TENSORS.items()}, {"config": "step 4"})
    states.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000002", "step-0000004"]
    assert load(tmp_path) == (4, [])


CALLS = ("fsync", "open", "rename", "replace", "mkdir", "unlink", "rmdir", "write")


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_fault_at_any_call_of_the_system_leaves_a_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Each call that changes the disk fails in its turn while a third state is written, and those after it, too."""
    counted, failed_at = 0, -1

    def watch(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **options: object) -> object:
            nonlocal counted
            counted += 1
            if 0 <= failed_at < counted:
                raise OSError(error, os.strerror(error))
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)

    for name in CALLS:
        watch(name)
    template = tmp_path / "template"
    saved(template, 2, 4)
    shutil.copytree(template, tmp_path / "count")
    states = Checkpoints(tmp_path / "count")
    assert states.load() is not None
    counted = 0
    states.save(6, {name: tensor + 6 for name, tensor in TENSORS.items()}, {"config": "step 6"})
    states.wait()
    calls = counted
    assert calls >= 8
    for number in range(calls):
        failed_at = -1
        folder = tmp_path / f"fault-{number}"
        shutil.copytree(template, folder)
        states = Checkpoints(folder)
        assert states.load() is not None
        counted, failed_at = 0, number
        states.save(6, {name: tensor + 6 for name, tensor in TENSORS.items()}, {"config": "step 6"})
        try:
            states.wait()
        except OSError as caught:
            text = str(caught)
            assert str(folder) in text and "MiB" in text and "\n" not in text
        failed_at = -1
        step, told = load(folder)
        assert step in (4, 6) and told == []


def test_a_disk_without_room_is_named_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = saved(tmp_path, 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints, "write_safetensors", full)
    states.save(4, {"a": torch.zeros(2**20)}, {})
    with pytest.raises(
        OSError, match=r"cannot save the state of step 4 in .*: No space left on device \(4\.0 MiB needed, "
    ) as caught:
        states.wait()
    assert str(caught.value).endswith("the state of step 2 is still there")
    assert load(tmp_path) == (2, [])


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    part = tmp_path / ".step-0000004.abcd.part"
    part.mkdir()
    (part / "state.safetensors").write_bytes(b"half")
    assert load(tmp_path) == (2, [])
    saved(tmp_path, 6)
    assert not part.exists()


def test_a_manifest_says_what_was_written(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    manifest = json.loads((tmp_path / "step-0000002" / "manifest.json").read_text())
    assert manifest["step"] == 2 and manifest["facts"] == {"config": "step 2"}
    assert manifest["bytes"] == (tmp_path / "step-0000002" / "state.safetensors").stat().st_size


def test_tensors_of_every_type_come_back(tmp_path: Path) -> None:
    given: dict[str, Tensor] = {
        "half": torch.ones(2, dtype=torch.bfloat16), "count": torch.tensor(3.0), "empty": torch.zeros(0),
        "turned": TENSORS["a"].T,
    }  # fmt: skip
    states = Checkpoints(tmp_path)
    states.save(1, given, {})
    states.wait()
    found = Checkpoints(tmp_path).load()
    assert found is not None
    assert all(
        torch.equal(found.tensors[name], tensor) and found.tensors[name].dtype == tensor.dtype for name, tensor in given.items()
    )
