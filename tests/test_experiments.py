"""Experiments and benchmarks take from the package only what is there: type checkers are told to overlook it in them."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for room in ("experiments", "benchmarks", "examples") for path in (ROOT / room).rglob("*.py"))


def imported_names(path: Path) -> list[tuple[str, str]]:
    """(module, name) of everything a file imports from the package."""
    tree = ast.parse(path.read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = [(node.module or "", node.names) for node in found if (node.module or "").split(".")[0] == "zeroconv"]
    return [(module, alias.name) for module, names in ours for alias in names]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_it_imports_exists(path: Path) -> None:
    for module, name in imported_names(path):
        found = importlib.import_module(module)
        assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}"), f"{module} has no {name}"
