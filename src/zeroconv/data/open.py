"""From the word after `--data` to a data set."""

import re
from pathlib import Path

from zeroconv.data.folder_pairs import open_folder
from zeroconv.data.pairs import Pairs
from zeroconv.data.world_pairs import WorldPairs
from zeroconv.errors import InputError

__all__ = ["open_pairs"]

WORLD = re.compile(r"world(?::(?P<count>\d+)(?:@(?P<seed>\d+))?)?")
DEFAULT_COUNT = 2000


def open_pairs(spec: str | Path, condition: str) -> Pairs:
    """A data set for one condition.

    Args:
        spec: a folder, or "world", "world:COUNT" or "world:COUNT@FIRST_SEED" for scenes rendered on the fly.
        condition: the condition to be learnt or measured.

    Raises:
        InputError: when there is no such folder, or when its layout is not understood.
    """
    match = WORLD.fullmatch(str(spec))
    if match is None:
        return open_folder(Path(spec), condition)
    count = int(match["count"] or DEFAULT_COUNT)
    if count < 1:
        raise InputError(f"{spec} asks for {count} scenes; expected 1 or more", field="data.source")
    return WorldPairs(count, int(match["seed"] or 0), condition)
