"""The pairs that are prepared, and the list that they are recognised by."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from zeroconv import conditions
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.open import open_pairs
from zeroconv.data.pairs import Pair, Pairs
from zeroconv.data.prepared.row_content import RowContent
from zeroconv.data.world_pairs import WorldPairs

__all__ = ["Source", "captions_of", "hash_listing", "is_drawn"]

NO_CONDITION = "canny"  # data sets are opened for one; without one asked for their maps are left aside


class Source:
    """A data set that is opened to be prepared.

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
        self.content = RowContent(self.pairs, self.condition)

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
