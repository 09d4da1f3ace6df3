"""From the word after `--data` to a data set."""

import re
from collections.abc import Iterable
from pathlib import Path

from zeroconv.data.columns import UNNAMED
from zeroconv.data.folder_pairs import FolderPairs, open_folder
from zeroconv.data.layouts import read_rows
from zeroconv.data.pairs import Pairs
from zeroconv.data.rows import Row
from zeroconv.data.world_pairs import WorldPairs, rendered_rows
from zeroconv.errors import InputError

__all__ = ["open_files", "open_pairs"]

WORLD = re.compile(r"world(?::(?P<count>\d+)(?:@(?P<seed>\d+))?)?")
DEFAULT_COUNT, DEFAULT_CONDITION = 2000, "canny"


def open_pairs(spec: str | Path, condition: str) -> Pairs:
    """A data set for one condition.

    Args:
        spec: a folder or file in a layout of `read_rows`, "hub:owner/name", or "world", "world:COUNT" or
            "world:COUNT@FIRST_SEED" for scenes rendered on the fly.
        condition: the condition to be learnt or measured.

    Raises:
        InputError: when there is no such data, or when its layout is not understood.
    """
    return open_world(str(spec), condition) or open_folder(spec, condition)


def open_files(spec: str | Path, condition: str | None) -> FolderPairs:
    """The same with every picture as a file, scenes of the tiny world too.

    Args:
        spec: as `open_pairs` takes it.
        condition: which; if left out the one that maps are named by, or canny.

    Raises:
        InputError: as `open_pairs`.
    """
    world = open_world(str(spec), condition or DEFAULT_CONDITION)
    rows = read_rows(spec) if world is None else rendered_rows(world)
    return FolderPairs(rows, condition or condition_of(rows))


def condition_of(rows: Iterable[Row]) -> str:
    """The one condition that rows name maps of; canny when they name none, or several."""
    named = {key for row in rows for key in row.maps} - {UNNAMED}
    return named.pop() if len(named) == 1 else DEFAULT_CONDITION


def open_world(spec: str, condition: str) -> WorldPairs | None:
    """Scenes by their name; None for another.

    Raises:
        InputError: for a count under 1.
    """
    match = WORLD.fullmatch(spec)
    if match is None:
        return None
    count = int(match["count"] or DEFAULT_COUNT)
    if count < 1:
        raise InputError(f"{spec} asks for {count} scenes; expected 1 or more", field="data.source")
    return WorldPairs(count, int(match["seed"] or 0), condition)
