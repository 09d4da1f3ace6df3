"""What is written about the project is true of the project: links, paths, the tree."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from zeroconv import __version__

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


def test_the_map_of_contributing_is_right() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Where is …?")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| the ") or (line.startswith("| ") and ".py" in line)]
    paths = [path for row in rows for path in re.findall(r"`([\w/]+\.py)`", row)]
    assert len(rows) >= 20
    assert not [path for path in paths if not (ROOT / "src" / "zeroconv" / path).is_file()]


def test_there_is_one_version() -> None:
    changelog = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    citation = re.search(r"^version: (\S+)", (ROOT / "CITATION.cff").read_text("utf-8"), flags=re.MULTILINE)
    assert changelog and citation and changelog[1] == citation[1] == __version__ == version("zeroconv")


def test_the_lock_agrees_with_the_constraints() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text("utf-8"), flags=re.MULTILINE))
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), flags=re.MULTILINE))
    pinned = {name.lower().replace("_", "-"): number for name, number in pins.items()}
    assert {name: number for name, number in locked.items() if name in pinned} == pinned
