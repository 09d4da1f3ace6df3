"""Rows of an experiment in a file of JSON lines, each made once, and the part of a page that is written from them."""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from zeroconv.checkpoints.files.atomic import replacing, write_text
from zeroconv.sheets import contact_sheet

__all__ = ["PAGES", "Row", "Rows", "begin", "write_figure", "write_page", "write_sheet"]

PAGES = Path(__file__).parents[2] / "docs" / "results"
DIGITS = 4
SHEET_BYTES = 80_000
Row = dict[str, Any]


class Rows:
    """The rows of a file, by the values that name a row. A last line that a killed process left half written is dropped.

    Args:
        path: of the file; rows are appended.
        names: the keys that name a row; one that a row does not have is None.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, names
        whole, newline, torn = (path.read_text("utf-8") if path.exists() else "").rpartition("\n")
        if torn:
            write_text(path, whole + newline)
        self.rows = {self.key(row): row for row in map(json.loads, whole.splitlines())}

    def key(self, row: Row) -> tuple[Any, ...]:
        """What names a row."""
        return tuple(row.get(name) for name in self.names)

    def find(self, **named: Any) -> Row | None:
        """The row of this name, if it was made."""
        return self.rows.get(self.key(named))

    def add(self, row: Row) -> Row:
        """Append a row, dated, with what it was computed by."""
        row |= {
            "date": datetime.now(UTC).date().isoformat(), "torch": torch.__version__,
            "cpu": torch.backends.cpu.get_cpu_capability(),
        }  # fmt: skip
        row = {key: shorten(value) for key, value in row.items()}  # so that a page is the same from the file alone
        self.rows[self.key(row)] = row
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        return row

    @property
    def measured(self) -> str:
        """When the last row was made, and what made it."""
        last = max(self.rows.values(), key=lambda row: row["date"])
        return f"Measured until {last['date']} with torch {last['torch']} ({last['cpu']})."


def begin(
    doc: str | None,
    page: Path,
    names: Sequence[str],
    add_options: Callable[[argparse.ArgumentParser], None] = lambda _: None,
    words: Sequence[str] | None = None,
) -> tuple[argparse.Namespace, Rows]:
    """The options of a figure, and what was measured for its page before.

    Args:
        doc: what `--help` says.
        page: the figure's.
        names: that tell rows apart.
        add_options: adds those that this figure has besides.
        words: of the command line; those of this process if left out.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs") / page.stem, help="folder for pictures")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--fresh", action="store_true", help="forget what was drawn")
    parser.add_argument("--page", type=Path, default=page, help="the page; its rows lie beside it, sheets in ../images")
    add_options(parser)
    args = parser.parse_args(words)
    args.page.parent.mkdir(parents=True, exist_ok=True)
    path = args.page.with_suffix(".jsonl")
    if args.fresh:
        shutil.rmtree(args.out, ignore_errors=True)
        path.unlink(missing_ok=True)
    return args, Rows(path, names)


def shorten(value: Any) -> Any:
    """Numbers of pictures with as many digits as any table can use."""
    return [one if one is None else round(one, DIGITS) for one in value] if isinstance(value, list) else value


def write_page(page: Path, head: str, script: str, lines: Sequence[str]) -> None:
    """Put lines between a page's marks; what people wrote around them stays.

    Args:
        page: the page.
        head: how it begins if it is new.
        script: the module that writes.
        lines: of the part between the marks.
    """
    begin, end = f"<!-- written by {script} -->", "<!-- end -->"
    before, _, rest = (page.read_text("utf-8") if page.exists() else head).partition(begin)
    page.write_text(before + "\n".join([begin, "", *lines, "", end]) + (rest.partition(end)[2] or "\n"), "utf-8")


def write_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as WebP, as good as it can be in 40 KB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        for quality in range(90, 0, -5):
            sheet.save(part, "WEBP", quality=quality, method=6)
            if part.stat().st_size <= SHEET_BYTES:
                return


def write_figure(args: argparse.Namespace, places: Sequence[Sequence[Path | None]], **layout: Any) -> None:
    """Write the sheet of a page, `../images/PAGE.webp`; the old one stays where pictures are missing: rows were made elsewhere.

    Args:
        args: of `begin`.
        places: of the saved pictures, row by row; None leaves a cell empty.
        **layout: titles and cell of `contact_sheet`.
    """
    if not all(place is None or place.exists() for line in places for place in line):
        print(f"no new sheet: pictures are missing in {args.out}; --fresh draws all again")
        return
    pictures = [[None if place is None else Image.open(place) for place in line] for line in places]
    write_sheet(contact_sheet(pictures, **layout), args.page.parent.parent / "images" / f"{args.page.stem}.webp")
