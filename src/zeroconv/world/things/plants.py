"""Trees and bushes."""

from typing import Literal

import numpy as np

from zeroconv.world.geometry.materials import paint
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Cone, Ellipsoid
from zeroconv.world.things.draw import Draw

Foliage = Literal["green", "autumn", "blossom", "pine"]
LEAVES: dict[Foliage, tuple[int, int, int]] = {
    "green": (70, 128, 52),
    "autumn": (214, 112, 34),
    "blossom": (240, 160, 186),
    "pine": (42, 92, 60),
}
BARK = paint((104, 74, 50))
PINE_TIERS = ((0.5, 1.0, 1.25), (1.15, 0.8, 1.1), (1.75, 0.58, 1.05))
"""Base height, radius and height of a pine's cones, metres."""


def tree(draw: Draw, x: float, z: float, foliage: Foliage, size: float) -> list[Primitive]:
    """A tree with its foot at (x, 0, z), about 2 to 3 metres high at size 1."""
    leaves = paint(np.array(LEAVES[foliage]) * draw.uniform(0.88, 1.1), "leaves", 1.6)
    if foliage == "pine":
        trunk = Cone((x, 0, z), (x, 0.7 * size, z), 0.13 * size, 0.12 * size, BARK, Label.TREE)
        tiers = [
            Cone((x, y * size, z), (x, (y + h) * size, z), radius * size, 0.02 * size, leaves, Label.TREE)
            for y, radius, h in PINE_TIERS
        ]
        return [trunk, *tiers]
    x, z = float(np.float32(x)), float(np.float32(z))
    h = draw.uniform(0.9, 1.3) * size
    r = 0.78 * size
    solids: list[Primitive] = [
        Cone((x, 0, z), (x, h + 0.3 * size, z), 0.15 * size, 0.10 * size, BARK, Label.TREE),
        Ellipsoid((x, h + 0.65 * size, z), (r, r * 0.95, r), leaves, Label.TREE),
    ]
    for lobe in range(3):
        a = lobe * 2.1 + draw.uniform(0, 1)
        y = h + (0.45 + 0.35 * draw.share()) * size
        place = (x + 0.5 * r * np.cos(a), y, z + 0.5 * r * np.sin(a))
        solids.append(Ellipsoid(place, r * draw.uniform(0.62, 0.78), leaves, Label.TREE))
    return solids


def bush(draw: Draw, x: float, z: float, size: float) -> list[Primitive]:
    """A bush of three balls about (x, 0, z), about half a metre high at size 1."""
    leaves = paint(np.array((66, 122, 56)) * draw.uniform(0.85, 1.15), "leaves", 2.2)
    solids: list[Primitive] = []
    for _ in range(3):
        across, deep = draw.uniform(-0.3, 0.3) * size * 1.4, draw.uniform(-0.15, 0.15) * size
        place = (x + across, 0.28 * size, z + deep)
        solids.append(Ellipsoid(place, draw.uniform(0.3, 0.42) * size, leaves, Label.PLANT))
    return solids
