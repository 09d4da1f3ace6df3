"""A thing: what it is called in the caption, and the solids it is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.vectors import Floats, rotation, vector

Place = tuple[float, float, float]
"""A point, metres."""


@dataclass(frozen=True, eq=False)
class Thing:
    """One thing of a scene: its words ("a red ball") and its solids."""

    words: str
    solids: Sequence[Primitive]


def rotate_by(yaw: float) -> Callable[[float, float, float], Floats]:
    """A function from a thing's own coordinates x, y, z to the world (3,), for a thing turned by `yaw`."""
    axes = rotation(yaw)
    return lambda x, y, z: vector(axes @ np.array([x, y, z]))


def with_article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return ("an " if words[0] in "aeio" else "a ") + words


def listing(words: Sequence[str]) -> str:
    """The words as "x", "x and y" or "x, y and z"; at least one."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
