"""Furniture of rooms, and the table of a still life."""

from collections.abc import Callable

import numpy as np

from zeroconv.world.geometry.materials import Material, paint
from zeroconv.world.geometry.palette import Label, linear
from zeroconv.world.geometry.polyhedra import box
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Capsule, Cone
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.objects import small_object
from zeroconv.world.things.thing import Thing, with_article

TABLE_TOP = 0.78
"""Height of the still life's table, metres."""
IRON = paint((60, 56, 54))
SHELF_WOOD, SHELF_BACK = paint((140, 94, 58)), paint((100, 68, 44))
TABLE_WOODS = ((150, 98, 58), (186, 136, 86), (112, 74, 50))
SIDE_TABLE_WOOD = paint((160, 108, 66), "planks", 5.0)
SEAT_WOOD = paint((138, 102, 70), "planks", 6)
SHADE_LIGHT, SHADE_GLOW = (255, 226, 160), 0.8
"""Colour of the light through a lamp's shade, and its share in what is seen of the shade."""
LEAVES = paint((64, 132, 62), "leaves", 3.0)


def furniture(draw: Draw, kind: str, x: float, z: float, colour: str, material: Material) -> Thing:
    """A piece of furniture of `FURNITURE` at (x, 0, z), in the named colour where it has one."""
    return PIECES[kind](draw, x, z, colour, material)


def _sofa(draw: Draw, x: float, z: float, colour: str, m: Material) -> Thing:
    solids = [
        box((x, 0.25, z), (0.68, 0.2, 0.36), m, Label.SOFA),
        box((x, 0.55, z + 0.28), (0.68, 0.32, 0.11), m, Label.SOFA),
        box((x - 0.62, 0.4, z), (0.1, 0.26, 0.36), m, Label.SOFA),
        box((x + 0.62, 0.4, z), (0.1, 0.26, 0.36), m, Label.SOFA),
    ]
    return Thing(with_article(colour) + " sofa", solids)


def _lamp(draw: Draw, x: float, z: float, colour: str, m: Material) -> Thing:
    shade = Material(draw.tint(colour) * 0.5 + linear(SHADE_LIGHT) * 0.5, glow=SHADE_GLOW)
    solids = [
        Cone((x, 0, z), (x, 0.03, z), 0.17, 0.17, IRON, Label.LAMP),
        Cone((x, 0, z), (x, 1.4, z), 0.022, 0.022, IRON, Label.LAMP),
        Cone((x, 1.28, z), (x, 1.68, z), 0.28, 0.16, shade, Label.LAMP),
    ]
    return Thing(with_article(colour) + " floor lamp", solids)


def _plant(draw: Draw, x: float, z: float, colour: str, m: Material) -> Thing:
    solids: list[Primitive] = [Cone((x, 0, z), (x, 0.38, z), 0.17, 0.22, m, Label.POT)]
    for leaf in range(7):
        a = leaf * 0.9
        reach = draw.uniform(0.16, 0.3)
        tip = (x + reach * np.cos(a), draw.uniform(0.7, 1.05), z + reach * np.sin(a))
        solids.append(Capsule((x, 0.36, z), tip, 0.055, LEAVES, Label.PLANT))
    return Thing(f"a plant in {with_article(colour)} pot", solids)


def _chair(draw: Draw, x: float, z: float, colour: str, m: Material) -> Thing:
    solids = [
        box((x, 0.46, z - 0.1), (0.24, 0.03, 0.24), m, Label.CHAIR),
        box((x, 0.78, z + 0.12), (0.24, 0.28, 0.025), m, Label.CHAIR),
    ]
    for dx in (-0.2, 0.2):
        solids += [box((x + dx, 0.22, z + dz), (0.025, 0.22, 0.025), m, Label.CHAIR) for dz in (-0.3, 0.1)]
    return Thing(with_article(colour) + " chair", solids)


def _bookshelf(draw: Draw, x: float, z: float, colour: str, m: Material) -> Thing:
    """Back, four shelves, two sides, and books until each shelf is full."""
    solids = [box((x, 0.75, z + 0.28), (0.5, 0.75, 0.03), SHELF_BACK, Label.SHELF)]
    for y in (0.03, 0.5, 0.98, 1.47):
        solids.append(box((x, y, z + 0.15), (0.5, 0.03, 0.16), SHELF_WOOD, Label.SHELF))
    for dx in (-0.48, 0.48):
        solids.append(box((x + dx, 0.75, z + 0.15), (0.025, 0.75, 0.16), SHELF_WOOD, Label.SHELF))
    for y in (0.06, 0.53, 1.01):
        left = -0.42
        while left < 0.36:
            w = draw.uniform(0.03, 0.075)
            centre = (x + left + w, y + draw.uniform(0.13, 0.19), z + 0.16)
            half = (w * 0.92, draw.uniform(0.13, 0.19), 0.11)
            solids.append(box(centre, half, Material(draw.tint(draw.pick_colour())), Label.SHELF))
            left += 2 * w + 0.01
    return Thing("a bookshelf", solids)


def _side_table(draw: Draw, x: float, z: float, colour: str, m: Material) -> Thing:
    solids: list[Primitive] = [box((x, 0.6, z), (0.5, 0.03, 0.3), SIDE_TABLE_WOOD, Label.TABLE)]
    for dx in (-0.44, 0.44):
        for dz in (-0.24, 0.24):
            solids.append(box((x + dx, 0.29, z + dz), (0.035, 0.29, 0.035), SIDE_TABLE_WOOD, Label.TABLE))
    kind = draw.pick(("vase", "ball", "teapot", "cube"))
    ornament = small_object(draw, kind, (x + draw.uniform(-0.2, 0.2), 0.63, z), 0.14)
    return Thing(f"a wooden table with {ornament.words}", [*solids, *ornament.solids])


PIECES: dict[str, Callable[[Draw, float, float, str, Material], Thing]] = {
    "sofa": _sofa,
    "lamp": _lamp,
    "plant": _plant,
    "chair": _chair,
    "bookshelf": _bookshelf,
    "table": _side_table,
}
FURNITURE = tuple(PIECES)
"""Kinds of furniture, in the order they are drawn from."""


def seat(z: float) -> Primitive:
    """The box that a sitting person sits on, at (0, 0, z)."""
    return box((0, 0.19, z), (0.3, 0.19, 0.22), SEAT_WOOD, Label.BOX)


def big_table(draw: Draw) -> tuple[Thing, float, float]:
    """The table of a still life about the origin, and its half width and half depth, metres."""
    width, depth = draw.uniform(0.75, 1.15), draw.uniform(0.45, 0.6)
    kind = draw.pick(("wooden", "white", "round wooden"), (0.5, 0.2, 0.3))
    material = paint((236, 232, 224)) if kind == "white" else paint(draw.pick(TABLE_WOODS), "planks", 5.0)
    solids: list[Primitive]
    if kind == "round wooden":
        width = depth = draw.uniform(0.7, 0.85)
        solids = [
            Cone((0, TABLE_TOP - 0.05, 0), (0, TABLE_TOP, 0), width, width, material, Label.TABLE),
            Cone((0, 0, 0), (0, TABLE_TOP, 0), 0.09, 0.09, material, Label.TABLE),
        ]
    else:
        half = (TABLE_TOP - 0.06) / 2
        solids = [box((0, TABLE_TOP - 0.03, 0), (width, 0.03, depth), material, Label.TABLE)]
        for x in (-1, 1):
            for z in (-1, 1):
                foot = (x * (width - 0.07), half, z * (depth - 0.07))
                solids.append(box(foot, (0.04, half, 0.04), material, Label.TABLE))
    return Thing(with_article(kind) + " table", solids), width, depth
