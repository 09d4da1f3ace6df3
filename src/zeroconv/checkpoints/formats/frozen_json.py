"""JSON values that cannot change: lists as tuples, objects as read-only mappings, at every depth."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["freeze", "thaw"]

MAX_DEPTH = 32  # of lists and objects in each other; configurations have 3


def freeze(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A JSON value as one that cannot change.

    Args:
        value: a scalar, or lists and mappings of them; what is frozen already is allowed.
        depth: of lists and mappings in each other, at most.

    Raises:
        ValueError: when they lie deeper.
    """
    if not isinstance(value, Mapping | list | tuple):
        return value
    if depth == 0:
        raise ValueError(f"its lists and objects lie more than {MAX_DEPTH} deep in each other; expected a flat configuration")
    if isinstance(value, Mapping):
        return MappingProxyType({name: freeze(item, depth - 1) for name, item in value.items()})
    return tuple(freeze(item, depth - 1) for item in value)


def thaw(value: Any) -> Any:
    """The inverse of `freeze`: lists and dictionaries, which `json` writes."""
    if isinstance(value, Mapping):
        return {name: thaw(item) for name, item in value.items()}
    return [thaw(item) for item in value] if isinstance(value, list | tuple) else value
