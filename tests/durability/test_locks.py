"""One process trains in a folder: of those that start together one, of dead ones none."""

import errno
import os
import platform
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.durability.runs import Zygote
from zeroconv.checkpoints.files.folder_lock import SILENT, FolderLock
from zeroconv.errors import InputError
from zeroconv.training.data.batches import end_with_parent

TOGETHER, ROUNDS = 4, 25


def lock_of(path: Path) -> FolderLock:
    """As a run folder has it."""
    return FolderLock(path, "is training in", "checkpoint.out")


def start_holder(zygote: Zygote, path: Path, at: float, seconds: float) -> int:
    return zygote.ask({"lock": str(path), "at": at, "seconds": seconds, "log": str(path.with_name("output.txt"))})


def wait_for_holder(path: Path) -> int:
    """The process that a lock names."""
    begun = time.monotonic()
    while not path.exists() or not path.read_text().endswith("\n"):
        time.sleep(0.005)
        assert time.monotonic() - begun < 30
    return int(path.read_text().split()[0])


def test_of_a_hundred_racing_starts_one_in_each_race_wins(zygote: Zygote, tmp_path: Path) -> None:
    for number in range(ROUNDS):
        path = tmp_path / f"lock-{number}"
        pids = [start_holder(zygote, path, time.time() + 0.02, 600) for _ in range(TOGETHER)]
        winner = wait_for_holder(path)
        assert winner in pids
        assert [zygote.ask({"wait": pid}) for pid in pids if pid != winner] == [3] * (TOGETHER - 1)
        os.kill(winner, signal.SIGKILL)
        assert zygote.ask({"wait": winner}) == -signal.SIGKILL


def test_a_dead_holder_blocks_nobody_and_a_living_one_is_named_at_once(zygote: Zygote, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    pid = start_holder(zygote, path, 0, 60)
    lock = lock_of(path)
    assert wait_for_holder(path) == pid
    begun = time.monotonic()
    with pytest.raises(InputError, match=rf"process {pid} on {platform.node()} is training in .*, since \d{{4}}-\d\d-\d\dT"):
        lock.acquire()
    assert time.monotonic() - begun < 1
    os.kill(pid, signal.SIGKILL)
    assert zygote.ask({"wait": pid}) == -signal.SIGKILL
    lock.acquire()
    process, machine, since = path.read_text().split()
    assert (process, machine) == (str(os.getpid()), platform.node())
    assert abs(datetime.fromisoformat(since).timestamp() - time.time()) < 60
    lock.release()
    assert path.read_text() == ""


def test_a_forked_process_does_not_hold_its_parents_lock(zygote: Zygote, tmp_path: Path) -> None:
    """As a loader's workers do that outlive a killed run."""
    path = tmp_path / "lock"
    lock = lock_of(path)
    lock.acquire()
    begun, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(begin, b".")
        time.sleep(60)
        os._exit(0)
    try:
        assert os.read(begun, 1) == b"."  # the child is past what it does first
        other = lock_of(path)
        with pytest.raises(InputError):
            other.acquire()
        lock.release()
        other.acquire()  # though the child lives
        other.release()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(begun)
        os.close(begin)


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a preparation does that made its folder in vain: whoever had opened the old file would hold what nobody else sees."""
    path, opened = tmp_path / "lock", os.open
    path.touch()

    def open_and_lose(*given: Any) -> int:
        descriptor = opened(*given)
        if first:
            first.pop()
            path.unlink()
        return descriptor

    first, lock = [True], lock_of(path)
    monkeypatch.setattr(os, "open", open_and_lose)
    lock.acquire()
    with pytest.raises(InputError):
        lock_of(path).acquire()
    lock.release()


def test_a_full_disk_is_said_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match=rf"^cannot write {tmp_path / 'lock'}: No space left on device$"):
            lock_of(tmp_path / "lock").acquire()
    lock = lock_of(tmp_path / "lock")
    lock.acquire()  # nothing was left behind
    lock.release()


def test_a_holder_on_another_machine_counts_while_it_gives_signs_of_life(tmp_path: Path) -> None:
    """Where the machines' locks do not reach each other, the file's time is all there is."""
    path, lock = tmp_path / "lock", lock_of(tmp_path / "lock")
    path.write_text("77 elsewhere\n")
    with pytest.raises(InputError, match=r"process 77 on elsewhere is training in .*: wait for it"):
        lock.acquire()
    old = time.time() - SILENT - 1
    os.utime(path, (old, old))
    lock.acquire()
    lock.release()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for it")
def test_a_loaders_worker_ends_with_a_killed_parent() -> None:
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        above = os.getpid()
        if os.fork() == 0:
            end_with_parent(above)
            os.write(write, b".")
        time.sleep(60)
        os._exit(0)
    os.close(write)
    try:
        assert os.read(read, 1) == b"."
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    begun = time.monotonic()
    assert os.read(read, 1) == b"" and time.monotonic() - begun < 30  # nobody is left who could write
    os.close(read)
