"""What stands around an outdoor subject: trees, bushes, a ball, rocks, a fence."""

from dataclasses import dataclass, replace

from zeroconv.world.geometry.materials import Material, paint
from zeroconv.world.geometry.palette import Label, linear
from zeroconv.world.geometry.polyhedra import box
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Ellipsoid
from zeroconv.world.geometry.vectors import rotation
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.plants import Foliage, bush, tree
from zeroconv.world.things.stage import Stage

FENCE_COLOURS = {"white": (238, 236, 228), "brown": (134, 96, 64)}
TRIES = 20
"""Attempts to find a place for a tree at least `TREE_GAP` metres of x from the others."""
TREE_GAP = 1.3


@dataclass(frozen=True)
class Surroundings:
    """How things keep clear of the subject.

    Attributes:
        near, far: least and greatest sideways distance of things from the subject, metres.
        scale: the camera's distance over 9 metres: things in front shrink with it.
        small: whether the subject is a person, whose surroundings are smaller and further back.
    """

    near: float
    far: float
    scale: float
    small: bool

    def aside(self, draw: Draw) -> float:
        """An x, metres, on either side of the subject."""
        return draw.pick((-1, 1)) * draw.uniform(self.near, self.far)


def add_trees(stage: Stage, draw: Draw, around: Surroundings, count: int, foliage: Foliage) -> None:
    """Put up `count` trees, named "tree 0" and so on."""
    taken: list[float] = []
    for i in range(count):
        x = z = 0.0
        for _ in range(TRIES):
            z = draw.uniform(2.5, 6.5) if around.small else draw.uniform(-0.8, 4.5)
            x = around.aside(draw) * (1 + max(z, 0) * 0.12)
            if all(abs(x - other) > TREE_GAP for other in taken):
                break
        taken.append(x)
        size = draw.uniform(0.85, 1.35) * (0.9 if around.small else 1.0)
        stage.add(f"tree {i}", tree(draw, x, z, foliage, size))


def add_bushes(stage: Stage, draw: Draw, around: Surroundings) -> None:
    """Put up one to three bushes."""
    for _ in range(draw.integer(1, 4)):
        x = around.aside(draw) * 0.8
        z = draw.uniform(0.6, 2.0) if around.small else draw.uniform(-1.6, 0.3)
        stage.add("bush", bush(draw, x, z, draw.uniform(0.8, 1.3) * (0.7 if around.small else 1)))


def add_ball(stage: Stage, draw: Draw, around: Surroundings) -> str:
    """Put a ball in front of the subject; its colour."""
    colour = draw.pick_colour()
    material = Material(draw.tint(colour), gloss=0.3)
    if draw.chance(0.4):
        material = replace(material, texture="beach ball", second=linear((240, 238, 230)))
    radius = 0.17 if around.small else 0.3
    x = draw.pick((-1, 1)) * draw.uniform(0.5, 0.8) * around.near
    place = (x, radius, draw.uniform(-2.6, -1.7) * around.scale)
    stage.add("ball", [Ellipsoid(place, radius, material, Label.BALL, rotation(draw.uniform(0, 3)))])
    return colour


def add_rocks(stage: Stage, draw: Draw, around: Surroundings) -> None:
    """Put down one to three rocks."""
    stone = paint((128, 124, 118), "leaves", 1.3)
    for _ in range(draw.integer(1, 4)):
        s = draw.uniform(0.25, 0.5) * around.scale
        x = draw.pick((-1, 1)) * draw.uniform(0.6, 1.0) * around.near
        place = (x, s * 0.3, draw.uniform(-2, 1) * around.scale)
        radii = (s * draw.uniform(0.9, 1.4), s * draw.uniform(0.6, 0.9), s)
        stage.add("rock", [Ellipsoid(place, radii, stone, Label.ROCK, rotation(draw.uniform(0, 3)))])


def add_fence(stage: Stage, draw: Draw, around: Surroundings) -> str:
    """Put a fence behind the subject; its colour."""
    colour = draw.pick(tuple(FENCE_COLOURS))
    material = paint(FENCE_COLOURS[colour])
    z = draw.uniform(2.2, 3.2)
    stage.add("fence", fence(material, z, 0.8 if around.small else 1.0))
    return colour


def fence(material: Material, z: float, size: float) -> list[Primitive]:
    """A fence of two rails and 25 pales along x."""
    rails = [box((0, y * size, z), (9, 0.05, 0.025), material, Label.FENCE) for y in (0.3, 0.62)]
    half = 0.40 * size
    pales = [box((i * 0.62, half, z - 0.04), (0.055, half, 0.02), material, Label.FENCE) for i in range(-12, 13)]
    return [*rails, *pales]
