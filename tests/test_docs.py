"""What is written about the project is true of the project: links, paths, the tree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8"))
    inner = [link.partition("#")[0] for link in links if not link.startswith(("https://", "#"))]
    missing = [link for link in inner if not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_files_that_are_named_exist(document: Path) -> None:
    places = (ROOT, ROOT / "src" / "zeroconv", ROOT / "tests", document.parent)
    text = document.read_text("utf-8").partition("<!-- tree:")[0]  # the tree has a test of its own
    names = re.findall(r"`([\w.-]+(?:/[\w.-]+)*\.py)`", text)
    missing = [name for name in names if "NAME" not in name and not any((place / name).is_file() for place in places)]
    assert not missing


def test_every_room_is_in_the_table_of_the_paper() -> None:
    table = (ROOT / "docs" / "paper.md").read_text("utf-8")
    for path in (ROOT / "src" / "zeroconv" / "control").glob("*.py"):
        assert path.name == "__init__.py" or f"control/{path.name}" in table, path.name


def test_the_tree_is_current() -> None:
    checked = subprocess.run([sys.executable, "docs/tree.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_nothing_of_a_workplace_is_left(document: Path) -> None:
    text = document.read_text("utf-8")
    assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/|issue #?\d", text)
