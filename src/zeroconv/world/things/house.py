"""Houses: a box with a gable roof, a door, windows, perhaps a chimney."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from zeroconv.world.geometry.materials import Material, paint
from zeroconv.world.geometry.palette import COLOUR_NAMES, Label, linear
from zeroconv.world.geometry.polyhedra import box, prism
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Ellipsoid
from zeroconv.world.geometry.vectors import Floats
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.thing import Thing, listing, rotate_by, with_article

LIT_GLASS, GLASS = paint((255, 214, 120), glow=1.0), paint((120, 168, 205), gloss=0.9)
FRAME = paint((240, 238, 232))
EAVES = 0.22
"""How far the roof reaches beyond the walls, metres."""
ROOF_COLOURS = tuple(name for name in COLOUR_NAMES if name != "white")
Placing = Callable[[float, float, float], Floats]


@dataclass(frozen=True, eq=False)
class House(Thing):
    """A house about the origin, its front towards -z.

    Attributes:
        door: x of the door, metres: where a path may begin.
        height: of the ridge, metres.
    """

    door: float
    height: float


def house(draw: Draw, yaw: float, night: bool) -> House:
    """A house turned by `yaw`; at night its windows are lit."""
    wall_name, roof_name, door_name = draw.pick_colour(), draw.pick(ROOF_COLOURS), draw.pick_colour()
    style = draw.pick(("", "brick ", "wooden "), (0.5, 0.25, 0.25))
    hx, hy, hz = draw.uniform(1.5, 2.3), draw.uniform(1.0, 1.45), draw.uniform(1.2, 1.7)
    two_storeys = draw.chance(0.28)
    if two_storeys:
        hy *= 1.65
    at = rotate_by(yaw)
    solids: list[Primitive] = [box(at(0, hy, 0), (hx, hy, hz), _wall(draw, wall_name, style), Label.HOUSE, yaw)]

    tile = draw.tint(roof_name)
    roof = Material(tile, "bands", 4.5, tile * 0.82)
    height = draw.uniform(0.8, 1.35)
    along = draw.pick(("x", "z"), (0.7, 0.3))
    half = (hx + EAVES, hz + EAVES) if along == "x" else (hz + EAVES, hx + EAVES)
    solids.append(prism(at(0, 2 * hy, 0), half, height, roof, Label.HOUSE, yaw, along))
    chimney = draw.chance(0.5)
    if chimney:
        bricks = paint((150, 82, 66), "bricks", 4, (190, 180, 170))
        place = at(draw.uniform(0.3, 0.6) * hx, 2 * hy + height * 0.75, hz * 0.25)
        solids.append(box(place, (0.17, height * 0.55, 0.17), bricks, Label.HOUSE, yaw))

    door = draw.uniform(-0.35, 0.35) * hx
    solids += _door(Material(draw.tint(door_name)), at, yaw, door, -hz)
    levels = [0.95, hy * 2 - 0.55] if two_storeys else [hy * 2 * 0.56]
    solids += _windows(at, yaw, (hx, hz), levels, door, night)

    details = [with_article(roof_name) + " roof"]
    if draw.chance(0.6):
        details.append(with_article(door_name) + " door")
    if chimney and draw.chance(0.5):
        details.append("a chimney")
    if draw.chance(0.25):
        draw.shuffle(details)
    size = "two-storey " if two_storeys else ""
    words = with_article(f"{size}{wall_name} {style}house") + " with " + listing(details)
    return House(words, solids, float(at(door, 0, -hz)[0]), 2 * hy + height)


def _wall(draw: Draw, name: str, style: str) -> Material:
    plain = Material(draw.tint(name))
    if style == "brick ":
        mortar = plain.colour * 0.5 + linear((200, 190, 176)) * 0.5
        return replace(plain, texture="bricks", frequency=1.9, second=mortar)
    return replace(plain, texture="planks", frequency=3.2) if style == "wooden " else plain


def _door(material: Material, at: Placing, yaw: float, x: float, front: float) -> list[Primitive]:
    return [
        box(at(x, 0.55, front), (0.30, 0.55, 0.04), material, Label.DOOR, yaw),
        box(at(x, 0.58, front), (0.36, 0.60, 0.025), paint((235, 232, 225)), Label.HOUSE, yaw),
        Ellipsoid(at(x + 0.2, 0.55, front - 0.06), 0.035, paint((230, 200, 90), gloss=0.6), Label.DOOR),
    ]


def _windows(
    at: Placing, yaw: float, half: tuple[float, float], levels: list[float], door: float, night: bool
) -> list[Primitive]:
    """Windows on each level's front, where the door leaves room, and one on each side."""
    hx, hz = half
    glass = LIT_GLASS if night else GLASS
    solids: list[Primitive] = []

    def window(place: Floats, front: bool) -> None:
        for label, width, height, depth in (
            (Label.WINDOW, 0.28, 0.28, 0.03),
            (Label.HOUSE, 0.34, 0.34, 0.02),
            (Label.HOUSE, 0.02, 0.28, 0.045),
        ):
            size = (width, height, depth) if front else (depth, height, width)
            solids.append(box(place, size, glass if label is Label.WINDOW else FRAME, label, yaw))

    for level, y in enumerate(levels):
        upper = level == 1
        for x in (-0.68 * hx, 0, 0.68 * hx) if upper and hx >= 1.9 else (-0.68 * hx, 0.68 * hx):
            if upper or abs(x - door) > 0.75:
                window(at(x, y, -hz), front=True)
        window(at(hx, y, 0), front=False)
        window(at(-hx, y, 0), front=False)
    return solids
