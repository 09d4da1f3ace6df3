"""Image to map, one file per condition, each with its contract and its fidelity measure (section 4)."""

from zeroconv.conditions.condition import Condition, Contract
from zeroconv.conditions.parameters import defaults, read_value
from zeroconv.conditions.registry import ALIASES, NAMES, draw_parameters, extract, extract_all, get, judge_of

__all__ = [
    "ALIASES", "NAMES", "Condition", "Contract", "defaults", "draw_parameters", "extract", "extract_all", "get",
    "judge_of", "read_value",
]  # fmt: skip
