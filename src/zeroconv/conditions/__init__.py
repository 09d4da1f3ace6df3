"""Image to map, one file per condition, each with its contract and its fidelity measure (section 4)."""

from zeroconv.conditions.contract import Condition
from zeroconv.conditions.registry import ALIASES, NAMES, extract, get

__all__ = ["ALIASES", "NAMES", "Condition", "extract", "get"]
