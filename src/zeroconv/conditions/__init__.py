"""Image to map, one file per condition, each with its contract and its fidelity metric (section 4)."""

from zeroconv.conditions.condition import Condition, Contract
from zeroconv.conditions.extraction import (
    draw_parameters,
    extract,
    extract_all,
    extract_at_size,
    fit_map,
    reextract_parameters,
)
from zeroconv.conditions.parameters import defaults, json_schema, read_value
from zeroconv.conditions.registry import aliases, find, get, names, register

__all__ = [
    "Condition",
    "Contract",
    "aliases",
    "defaults",
    "draw_parameters",
    "extract",
    "extract_all",
    "extract_at_size",
    "find",
    "fit_map",
    "get",
    "json_schema",
    "names",
    "read_value",
    "reextract_parameters",
    "register",
]
