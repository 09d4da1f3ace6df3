"""Write the tree of `docs/architecture.md`, one line per file, from the first line of each file.

    python docs/tree.py            rewrites the tree in docs/architecture.md
    python docs/tree.py --check    exit code 1 if it is not current

A Python file is described by the first line of its docstring (a package by that of its `__init__.py`), a Markdown file by
its title, anything else by the tables below.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- tree: written by docs/tree.py -->", "<!-- end of tree -->"
WIDTH = 44  # of the names

FOLDERS = {
    "src": "",
    "src/zeroconv/assets": "What comes with the package: the tiny base, ControlNets, annotator and CLIP, the demo's pictures",
    "tests": "",
    "examples": "Small programs that use the library; each is run by a test",
    "experiments": "Runnable files behind published numbers and weights",
    "experiments/baselines": "Other ways from maps to pictures, at the same budget on the tiny world, for the paper's tables",
    "experiments/conditions": "The pictures of the pages on conditions, extractors against the truth, and any picture",
    "experiments/convergence": "How many samples it takes until a control has taken hold, recipe against recipe",
    "experiments/hed": "HED with its published weights: converted, held against an independent reading, looked at",
    "experiments/paper": "Figures of the paper, repeated on the tiny base: `docs/results` says with what result",
    "experiments/tiny": "How the embedded weights were made: `docs/results/tiny.md` says with what result",
    "benchmarks": "What costs how much, side by side in one run",
    "docs": "",
    "docs/conditions": "A page for each condition: what it sees, its parameters in pictures, where it fails",
    "docs/dev": "Notes for those who work on it",
    "docs/images": "Pictures of the pages",
    "docs/results": "Measured results, with date, hardware and command",
}
FILES = {
    "Makefile": "`make demo`, `make test`, `make check`",
    "Containerfile": "The page and the service in a container",
    ".dockerignore": "What the Containerfile copies, and nothing else",
    "pyproject.toml": "The package, its dependencies, and the settings of ruff, pyright and pytest",
    "constraints.txt": "The versions that `make` installs",
    ".ci/run": "What a merge must pass",
    "LICENSE": "Apache-2.0",
    "src/zeroconv/py.typed": "Says to type checkers that the package is typed",
}
CLOSED = ("src/zeroconv/assets", "docs/images")
"""Folders that are one line."""


def describe(path: Path) -> str:
    """One line about a file or folder, without the full stop."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        return FOLDERS[name] if name in FOLDERS else describe(path / "__init__.py")
    if path.suffix == ".py":
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        return docstring.partition("\n")[0].rstrip(".")
    if path.suffix == ".md":
        return path.read_text("utf-8").partition("\n")[0].lstrip("# ")
    return FILES[name]


def lines(folder: Path, depth: int) -> Iterator[str]:
    """The lines of a folder's content, files before folders."""
    for path in sorted(folder.iterdir(), key=lambda p: (p.is_dir(), p.name)):
        if path.is_dir():
            if any(path.rglob("*.py")) or path.relative_to(ROOT).as_posix() in FOLDERS:
                yield line(path, depth)
                if path.relative_to(ROOT).as_posix() not in CLOSED:
                    yield from lines(path, depth + 1)
        elif (path.suffix in (".py", ".md") and path.name != "__init__.py") or path.relative_to(ROOT).as_posix() in FILES:
            yield line(path, depth)


def line(path: Path, depth: int) -> str:
    """Name and description."""
    name = "  " * depth + path.name + "/" * path.is_dir()
    return f"{name:{WIDTH}}{describe(path)}".rstrip()


def tree() -> str:
    """The whole tree as a block of Markdown."""
    first = ("Makefile", "Containerfile", ".dockerignore", "pyproject.toml", "constraints.txt", "LICENSE")
    root = [ROOT / name for name in first]
    root += sorted(ROOT.glob("*.md"))
    written = [line(path, 0) for path in root]
    written += [f"{'.ci/run':{WIDTH}}{FILES['.ci/run']}"]
    for name in ("src", "tests", "examples", "experiments", "benchmarks", "docs"):
        written += [line(ROOT / name, 0), *lines(ROOT / name, 1)]
    return "\n".join([BEGIN, "```text", *written, "```", END])


def main() -> int:
    """Rewrite the tree, or compare it."""
    page = ROOT / "docs" / "architecture.md"
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    assert found, f"docs/architecture.md has no {BEGIN} … {END}"
    current = before + tree() + after
    if "--check" in sys.argv[1:]:
        if current != text:
            print("the tree in docs/architecture.md is not current: run `python docs/tree.py`", file=sys.stderr)
        return int(current != text)
    page.write_text(current, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
