"""Written whole, on the disk before it is renamed, or not at all."""

import ast
import os
import stat
from pathlib import Path

import pytest

from zeroconv.checkpoints.files.atomic import replacing, write_text

SOURCE = Path(__file__).parents[3] / "src" / "zeroconv"


def test_the_file_and_then_its_folder_are_synced_around_the_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watch_fsync(descriptor: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else f"{os.fstat(descriptor).st_size} bytes")
        fsync(descriptor)

    def watch_replace(source: Path, target: Path) -> None:
        events.append(f"{source.parent == target.parent}: {target.name}")
        replace(source, target)

    monkeypatch.setattr("os.fsync", watch_fsync)
    monkeypatch.setattr("os.replace", watch_replace)
    write_text(tmp_path / "a.txt", "seven …")
    assert events == ["9 bytes", "True: a.txt", "folder"]
    assert (tmp_path / "a.txt").read_text("utf-8") == "seven …" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(type(error)) as caught, replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    if isinstance(error, OSError):
        assert str(caught.value) == f"cannot write {path}: No space left on device"


def test_a_folder_that_cannot_be_synced_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", refuse_folders)
    write_text(tmp_path / "a", "1")
    assert (tmp_path / "a").read_text() == "1"


def test_a_missing_folder_or_one_in_the_way_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "a", tmp_path / "folder"):
        with pytest.raises(OSError, match=rf"^cannot write {path}: [^\n]*$"):
            write_text(path, "1")
    assert not list((tmp_path / "folder").iterdir()) and len(list(tmp_path.iterdir())) == 1


def test_two_writers_of_one_file_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")
    assert (tmp_path / "a").read_text() == "1"  # the outer block ends last


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "1")
    (tmp_path / "b").write_text("1")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_nobody_writes_text_in_place() -> None:
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "write_text"
    }
    assert users == {"checkpoints/files/atomic.py"}


def test_nobody_else_writes_and_renames() -> None:
    spelled = {"os.replace", "os.rename", "shutil.move"}
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in spelled
    }
    assert users == {"checkpoints/files/atomic.py"}
