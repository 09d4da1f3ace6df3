"""By what the content of a row is recognised before anything is decoded: the times of its files, and their bytes."""

import hashlib
from pathlib import Path

from zeroconv.data.file_part import FilePart, stamp_of
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.pairs import Pairs
from zeroconv.data.world_pairs import WorldPairs
from zeroconv.picture_files import PictureFile

__all__ = ["RowContent", "Stamp"]

BLOCK = 2**20  # bytes that are hashed at a time
Stamp = list[int] | None
"""Numbers by which a row's files are seen to be unchanged without reading them; None where there are none."""


class RowContent:
    """What the rows of a data set are made of.

    Args:
        pairs: the data set.
        condition: whose maps belong to the rows, by its own name; None leaves maps aside.
    """

    def __init__(self, pairs: Pairs, condition: str | None) -> None:
        self.pairs, self.condition = pairs, condition

    def stamp(self, index: int) -> Stamp:
        """Size and time of a row's files, its seed where it is a scene; None where only its bytes can tell."""
        if isinstance(self.pairs, WorldPairs):
            return [self.pairs.first_seed + index, self.pairs.size]
        assert isinstance(self.pairs, FolderPairs)
        numbers: list[int] = []
        for file in self.files(self.pairs, index):
            try:
                if isinstance(file, FilePart):
                    numbers += [file.offset, file.size, file.stamp.size, file.stamp.time]
                elif isinstance(file, Path):
                    found = stamp_of(file)
                    numbers += [found.size, found.time]
                else:
                    return None
            except OSError:
                return None
        return numbers

    def is_missing(self, index: int) -> bool:
        """Whether a file of a row is not there."""
        if not isinstance(self.pairs, FolderPairs):
            return False
        files = self.files(self.pairs, index)
        return any(not file.exists() for file in files if isinstance(file, Path))

    def key(self, index: int) -> str:
        """A hash of the bytes of a row's files, of the pixels where it is a scene; "missing" when one cannot be read."""
        content = hashlib.blake2b(digest_size=16)
        if isinstance(self.pairs, WorldPairs):
            pair = self.pairs[index]
            for image in (pair.image, *pair.maps.values()):
                content.update(image.tobytes())
            return content.hexdigest()
        assert isinstance(self.pairs, FolderPairs)
        try:
            for file in self.files(self.pairs, index):
                with file.open("rb") as opened:
                    found = hashlib.sha256()
                    while block := opened.read(BLOCK):
                        found.update(block)
                content.update(found.digest())
        except (OSError, ValueError):
            return "missing"
        return content.hexdigest()

    def files(self, pairs: FolderPairs, index: int) -> list[PictureFile]:
        """The picture of a row, and its maps as far as there are any."""
        found = {} if self.condition is None else pairs.find_maps(index)
        return [pairs.rows[index].image, *found.values()]
