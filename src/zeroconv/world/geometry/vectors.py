"""Vectors of the tiny world.

Axes: x right, y up, z away from the viewer. Lengths are metres, angles radians. Points and directions
come in columns, (3, N) float32: written-out products on such arrays are what makes the renderer fast.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]
Vector = Floats | Sequence[float]

FAR = np.float32(1e9)
"""Distance along a ray that meets nothing, metres."""

CORNERS = np.array(list(np.ndindex(2, 2, 2))) * 2 - 1
"""(8, 3) signs of the corners of a box."""


def vector(values: npt.ArrayLike | Sequence[Sequence[float]]) -> Floats:
    """The same numbers as a float32 array."""
    return np.asarray(values, np.float32)


def column(values: Floats) -> Floats:
    """(3,) as (3, 1), to be broadcast against points (3, N)."""
    return values[:, None]


def dot(a: Floats, b: Floats) -> Floats:
    """Products (N,) of the columns of two (3, N) arrays; three times as fast as a sum over axis 0."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def rotation(yaw: float) -> Floats:
    """(3, 3) float32 turn about the vertical by `yaw` radians; its columns are the local axes."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)
