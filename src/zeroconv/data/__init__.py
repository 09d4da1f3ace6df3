"""Pairs of picture, condition and caption: layouts, the tiny world, checks."""

from zeroconv.data.check import Report, check
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.open import open_pairs
from zeroconv.data.pairs import Pair, Pairs, Subset, condition_of, conditions_of, held_out
from zeroconv.data.world_pairs import WorldPairs, truth, write_world

__all__ = [
    "FolderPairs",
    "Pair",
    "Pairs",
    "Report",
    "Subset",
    "WorldPairs",
    "check",
    "condition_of",
    "conditions_of",
    "held_out",
    "open_pairs",
    "truth",
    "write_world",
]
