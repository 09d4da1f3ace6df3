"""A README that is not ours stays."""

from pathlib import Path

import pytest

from zeroconv.messages import Message, listen
from zeroconv.publishing import write_readme


def test_ours_is_written_anew(tmp_path: Path) -> None:
    for text in ("# One\n", "# Two\n\nlines\n"):
        assert write_readme(tmp_path, text) == tmp_path / "README.md"
        assert (tmp_path / "README.md").read_text().startswith(text)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    (tmp_path / "README.md").write_text("older\nzeroconv generate --base tiny\n")  # from before there were marks
    assert write_readme(tmp_path, "new").name == "README.md"


@pytest.mark.parametrize("theirs", [b"# My notes\n", b"\xff\xfe", b"", b"changed"])
def test_theirs_stays(tmp_path: Path, theirs: bytes) -> None:
    path, told = tmp_path / "README.md", list[Message]()
    if theirs == b"changed":
        theirs = write_readme(tmp_path, "# One\n").read_bytes().replace(b"One", b"One, with my notes")
    path.write_bytes(theirs)
    with listen(told.append):
        for text in ("# One\n", "# Two\n"):
            assert write_readme(tmp_path, text) == tmp_path / "README.zeroconv.md"
    assert path.read_bytes() == theirs and (tmp_path / "README.zeroconv.md").read_text().startswith("# Two")
    assert [message.code for message in told] == ["file.kept"]
