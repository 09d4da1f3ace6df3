"""The pairs that are prepared, and by what their content is recognised before anything is decoded."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zeroconv import conditions
from zeroconv.data.file_part import FilePart, stamp_of
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.open import open_pairs
from zeroconv.data.pairs import Pair, Pairs
from zeroconv.data.world_pairs import WorldPairs
from zeroconv.picture_files import PictureFile

__all__ = ["Source", "Stamp", "hash_listing", "is_drawn"]

BLOCK = 2**20  # bytes that are hashed at a time
NO_CONDITION = "canny"  # data sets are opened for one; without one asked for their maps are left aside
Stamp = list[int] | None
"""Numbers by which a row's files are seen to be unchanged without reading them; None where there are none."""


class Source:
    """A data set whose rows have keys.

    Args:
        spec: as `open_pairs` takes it.
        condition: whose maps belong to the pairs; None leaves maps aside.

    Raises:
        InputError: as `open_pairs`.
    """

    def __init__(self, spec: str, condition: str | None) -> None:
        pairs = open_pairs(spec, condition or NO_CONDITION)
        if condition is None and isinstance(pairs, FolderPairs):
            pairs = FolderPairs([replace(row, maps={}) for row in pairs.rows], NO_CONDITION)
        elif condition is None and isinstance(pairs, WorldPairs):
            pairs.exact = []
        self.pairs: Pairs = pairs
        self.condition = None if condition is None else conditions.get(condition).name

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.pairs)

    def open(self, index: int) -> Pair:
        """Pair `index`, its files opened; errors as the data set's own."""
        return self.pairs[index]

    def captions(self, index: int) -> list[str]:
        """The captions that the list has for a pair; none for scenes, whose captions are made with them."""
        return captions_of(self.pairs, index)

    def ready_maps(self) -> set[str]:
        """The conditions whose maps every pair brings along."""
        pairs = self.pairs
        if isinstance(pairs, FolderPairs) and self.condition is not None:
            return {name for name in pairs.wanted if all(name in pairs.find_maps(index) for index in range(len(pairs)))}
        return set(pairs.exact) if isinstance(pairs, WorldPairs) else set()

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

    def key(self, index: int) -> str:
        """A hash of the bytes of a row's files, of the pixels where it is a scene; "missing" when one cannot be read."""
        content = hashlib.blake2b(digest_size=16)
        if isinstance(self.pairs, WorldPairs):
            pair = self.open(index)
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


def captions_of(pairs: Pairs, index: int) -> list[str]:
    """The captions that a data set's list has for a pair."""
    return list(pairs.rows[index].captions) if isinstance(pairs, FolderPairs) else []


def hash_listing(pairs: Pairs, rows: range) -> str:
    """SHA-256 of the names and captions of rows, by which a run recognises its data set."""
    listed = [[pairs.names[index], captions_of(pairs, index)] for index in rows]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def is_drawn(condition: str, size: tuple[int, int], extract: Mapping[str, Any]) -> list[str]:
    """Parameters of an extractor that a training draws anew at every visit, in order; empty when a map is always the same.

    Args:
        condition: which.
        size: of the pictures in pixels.
        extract: parameters that are given.

    Raises:
        InputError: for a parameter that is unknown, or not of its type.
    """
    return sorted(conditions.draw_parameters(condition, np.random.default_rng(0), size, extract).keys() - extract.keys())
