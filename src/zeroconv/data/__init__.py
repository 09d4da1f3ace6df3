"""Pairs of picture, condition and caption: layouts, the tiny world, checks."""

from zeroconv.data.check import DataReport, check
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.open import open_pairs
from zeroconv.data.pairs import Pair, Pairs, Subset, get_map, get_maps
from zeroconv.data.world_pairs import WorldPairs, truth, write_world

__all__ = [
    "DataReport",
    "FolderPairs",
    "Pair",
    "Pairs",
    "Subset",
    "WorldPairs",
    "check",
    "get_map",
    "get_maps",
    "open_pairs",
    "truth",
    "write_world",
]
