"""Pairs that lie in files, opened when asked for."""

from collections.abc import Sequence
from pathlib import Path

from zeroconv import conditions
from zeroconv.data.layouts import read_rows
from zeroconv.data.pairs import Pair, open_condition_map
from zeroconv.data.rows import Row
from zeroconv.errors import InputError
from zeroconv.images import open_image

__all__ = ["FolderPairs", "Row", "open_folder", "read_rows"]


class FolderPairs:
    """Pairs of a folder or of files in any layout, opened when asked for.

    Args:
        rows: where they lie.
        condition: the condition to be learnt: a map without a name of its own ("source") is taken to be one.
    """

    def __init__(self, rows: Sequence[Row], condition: str) -> None:
        self.rows, self.condition = rows, conditions.get(condition).name
        self.names: Sequence[str] = [row.name for row in rows]
        self.max_captions = max((len(row.captions) for row in rows), default=1)

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Pair:
        """Open pair `index`.

        Raises:
            InputError: when a file is not there or cannot be read, or the map has another size than the picture.
        """
        row = self.rows[index]
        path = row.find_map(self.condition)
        try:
            image = open_image(row.image)
            found = None if path is None else open_condition_map(path, self.condition)
        except (OSError, ValueError) as error:
            raise InputError(str(error), field="data.source") from error
        if found is not None and found.size != image.size:
            raise InputError(
                f"{path} is {found.size[0]}x{found.size[1]} and its picture {image.size[0]}x{image.size[1]}",
                field="data.source",
                hint="a map must have its picture's size",
            )
        return Pair(row.name, image, row.captions[0], {} if found is None else {self.condition: found}, row.captions)


def open_folder(spec: str | Path, condition: str) -> FolderPairs:
    """The pairs of a folder or file in one of the layouts of `read_rows`.

    Raises:
        InputError: when it is not there, no layout is recognised, it is empty, or a row is broken.
    """
    return FolderPairs(read_rows(spec), condition)
