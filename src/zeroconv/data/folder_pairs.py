"""Pairs that lie in files, opened when asked for."""

from collections.abc import Sequence
from pathlib import Path

from zeroconv import conditions
from zeroconv.data.layouts import read_rows
from zeroconv.data.pairs import Pair, open_condition_map
from zeroconv.data.rows import Row
from zeroconv.errors import InputError
from zeroconv.images import open_image
from zeroconv.picture_files import PictureFile

__all__ = ["FolderPairs", "Row", "open_folder", "read_rows"]


class FolderPairs:
    """Pairs of a folder or of files in any layout, opened when asked for.

    Args:
        rows: where they lie.
        condition: the condition to be learnt: a map without a name of its own ("source") is taken to be one; of several in one
            control ("canny+depth") each map must have its condition's name.

    Raises:
        InputError: for a map without a name where several conditions are to be learnt.
    """

    def __init__(self, rows: Sequence[Row], condition: str) -> None:
        known = conditions.get(condition)
        self.rows, self.condition, self.wanted = rows, known.name, [part.name for part in known.each]
        for row in rows if known.parts else ():
            row.find_maps(self.wanted)
        self.names: Sequence[str] = [row.name for row in rows]
        self.max_captions = max((len(row.captions) for row in rows), default=1)

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.rows)

    def find_maps(self, index: int) -> dict[str, PictureFile]:
        """The files of the maps of pair `index`, as far as it has them, by condition."""
        return self.rows[index].find_maps(self.wanted)

    def __getitem__(self, index: int) -> Pair:
        """Open pair `index`.

        Raises:
            InputError: when a file is not there or cannot be read, or the map has another size than the picture.
        """
        row = self.rows[index]
        paths = self.find_maps(index)
        try:
            image = open_image(row.image)
            maps = {name: open_condition_map(path, name) for name, path in paths.items()}
        except (OSError, ValueError) as error:
            raise InputError(str(error), field="data.source") from error
        for name, found in maps.items():
            if found.size != image.size:
                raise InputError(
                    f"{paths[name]} is {found.size[0]}x{found.size[1]} and its picture {image.size[0]}x{image.size[1]}",
                    field="data.source",
                    hint="a map must have its picture's size",
                )
        return Pair(row.name, image, row.captions[0], maps, row.captions)


def open_folder(spec: str | Path, condition: str) -> FolderPairs:
    """The pairs of a folder or file in one of the layouts of `read_rows`.

    Raises:
        InputError: when it is not there, no layout is recognised, it is empty, or a row is broken.
    """
    return FolderPairs(read_rows(spec), condition)
