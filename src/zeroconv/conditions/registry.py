"""All conditions by name: one for each file of this folder that holds a `Condition`."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from zeroconv.conditions.condition import Condition
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
        InputError: when its name or an alias is taken.
    """
    for name in (condition.name, *condition.aliases):
        if name in (*names(), *aliases()):
            raise InputError(f"there is a condition {name!r} already; expected another name", field="condition")
    known_conditions()[condition.name] = condition


def names() -> tuple[str, ...]:
    """The names of all conditions, in their order: the paper's first, then others by name."""
    return tuple(sorted(known_conditions(), key=lambda name: (known_conditions()[name].order, name)))


def aliases() -> dict[str, str]:
    """Other names that users may write, and the conditions they mean."""
    return {alias: name for name in names() for alias in known_conditions()[name].aliases}


def find(name: str | None) -> Condition | None:
    """A condition by name or alias; None for None and for names that are not known, such as a stranger's file may say."""
    return known_conditions().get(aliases().get(name, name)) if name is not None else None


def get(name: str) -> Condition:
    """A condition by name or alias.

    Raises:
        InputError: for an unknown name, listing the known ones.
    """
    condition = find(name)
    if condition is None:
        raise InputError(f"unknown condition {name!r}; expected one of {', '.join(names())}", field="condition")
    return condition
