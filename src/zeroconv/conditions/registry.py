"""All conditions by name: one for each file of this folder that holds a `Condition`."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from zeroconv.conditions.condition import Condition
from zeroconv.conditions.several import PLUS, combine
from zeroconv.errors import InputError

__all__ = ["aliases", "find", "get", "names", "register"]


@cache
def known_conditions() -> dict[str, Condition]:
    """Every condition by name."""
    package = import_module("zeroconv.conditions")
    modules = (import_module(f"{package.__name__}.{module.name}") for module in iter_modules(package.__path__))
    found = (value for module in modules for value in vars(module).values() if isinstance(value, Condition))
    return {condition.name: condition for condition in found}


def register(condition: Condition) -> None:
    """Add a condition that is made outside of this folder, for as long as the process runs.

    Raises:
        InputError: when its name or an alias is taken, or has a "+".
    """
    for name in (condition.name, *condition.aliases):
        if PLUS in name:
            raise InputError(f"the name {name!r} has a {PLUS!r}, which means several conditions", field="condition")
        if name in (*names(), *aliases()):
            raise InputError(f"there is a condition {name!r} already; expected another name", field="condition")
    known_conditions()[condition.name] = condition


def names() -> tuple[str, ...]:
    """The names of all conditions, in their order: the paper's first, then others by name."""
    return tuple(sorted(known_conditions(), key=lambda name: (known_conditions()[name].order, name)))


def aliases() -> dict[str, str]:
    """Other names that users may write, and the conditions they mean."""
    return {alias: name for name in names() for alias in known_conditions()[name].aliases}


def fold(name: str) -> str:
    """A name without what spellings differ in: "Soft_Edge" and "softedge" are "soft-edge"."""
    return name.lower().replace("_", "").replace("-", "")


def find(name: str | None) -> Condition | None:
    """A condition by name or alias in any spelling, several of one control by theirs with "+" between.

    Returns:
        The condition; None for None and for names that are not known, such as a stranger's file may say.
    """
    if name is None:
        return None
    if PLUS not in name:
        known, other = known_conditions(), aliases()
        spelled = {fold(one): one for one in (*known, *other)}
        name = name if name in known or name in other else spelled.get(fold(name), name)
        return known.get(other.get(name, name))
    parts = [find(one) for one in name.split(PLUS)]
    known = tuple(part for part in parts if part is not None)
    if len(known) < len(parts) or len(set(known_names := [part.name for part in known])) < len(known_names):
        return None
    return combine(known)


def get(name: str) -> Condition:
    """A condition by name or alias, several of one control by theirs with "+" between, such as "canny+depth".

    Raises:
        InputError: for an unknown name, listing the known ones, or one that comes twice.
    """
    if PLUS in name:
        return combine(tuple(get(one.strip()) for one in name.split(PLUS)))
    condition = find(name)
    if condition is None:
        raise InputError(f"unknown condition {name!r}; expected one of {', '.join(names())}", field="condition")
    return condition
