"""Look at a folder of pairs before training on it: counts, sizes, missing files, maps that look wrong."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from zeroconv import conditions
from zeroconv.data.folder_pairs import Row, read_rows
from zeroconv.data.pairs import open_condition_map
from zeroconv.images import open_image
from zeroconv.sheets import contact_sheet, overlay

__all__ = ["DataReport", "check"]

SHEET_PAIRS = 8


@dataclass
class DataReport:
    """What was found in a folder.

    Attributes:
        folder: where.
        pairs: pairs listed.
        good: pairs whose picture and map can both be read and have one size.
        empty_captions: pairs without a prompt.
        sizes: how many pictures have each size, such as {"512x512": 40}.
        maps: how many maps there are for each condition.
        problems: one line for each file that is missing, unreadable or of the wrong size.
        warnings: one line for each kind of oddity in the maps, with how often it occurs.
    """

    folder: str
    pairs: int = 0
    good: int = 0
    empty_captions: int = 0
    sizes: Counter[str] = field(default_factory=Counter[str])
    maps: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        # not asdict: in Python 3.11 it turns a Counter's items into a Counter of pairs
        return {**vars(self), "sizes": dict(self.sizes), "maps": dict(self.maps)}


def check(folder: Path, condition: str = "canny") -> tuple[DataReport, Image.Image | None]:
    """Open every file of a folder once.

    Args:
        folder: in a layout of `open_pairs`.
        condition: what maps without a name of their own are ("source", "conditioning_image").

    Returns:
        The report, and a sheet of the first pairs: picture, map, one over the other. None when no pair is good.

    Raises:
        InputError: when there is no such folder, or its layout is not understood.
    """
    report, oddities, columns = DataReport(str(folder)), Counter[str](), list[list[Image.Image]]()
    unnamed = conditions.get(condition).name
    for row in read_rows(folder):
        report.pairs += 1
        report.empty_captions += not row.caption.strip()
        opened = open_row(row, report)
        if opened is None:
            continue
        image, maps = opened
        report.good += 1
        report.sizes[f"{image.width}x{image.height}"] += 1
        for key, found in maps.items():
            name = unnamed if key == "*" else key
            report.maps[name] += 1
            oddities.update(f"{name}: {warning}" for warning in conditions.get(name).check(found))
        if len(columns) < SHEET_PAIRS:
            first = next(iter(maps.values()), conditions.extract("canny", image))
            columns.append([image, first, overlay(image, first)])
    report.warnings = [f"{text} ({count} maps)" for text, count in oddities.most_common()]
    if not columns:
        return report, None
    rows = [list(row) for row in zip(*columns, strict=True)]
    return report, contact_sheet(rows, row_titles=["picture", "map", "together"], title=str(folder.name), cell=192)


def open_row(row: Row, report: DataReport) -> tuple[Image.Image, dict[str, Image.Image]] | None:
    """Picture and maps of a row; None, with the problem noted, when one cannot be used."""
    try:
        image = open_image(row.image)
        maps = {key: open_condition_map(path, key) for key, path in row.maps.items()}
    except (OSError, ValueError) as error:
        report.problems.append(str(error))
        return None
    for key, found in maps.items():
        if found.size != image.size:
            report.problems.append(f"{row.maps[key]} is {found.width}x{found.height}, its picture {image.width}x{image.height}")
            return None
    return image, maps
