"""Cars, vans and pickup trucks."""

from zeroconv.world.geometry.materials import Material, paint
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.polyhedra import box, taper
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Cone, Ellipsoid
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.thing import Thing, rotate_by, with_article

GLASS = paint((58, 78, 96), gloss=0.9)
TYRE = paint((34, 34, 38))
BODIES = ("car", "van", "pickup truck")
HUB = paint((190, 192, 198), gloss=0.5)
HEADLIGHT = paint((255, 244, 200), glow=0.7)
TAIL_LIGHT = paint((200, 30, 30), glow=0.4)


def car(draw: Draw, yaw: float, body: str | None = None) -> Thing:
    """A vehicle about the origin, its front towards its own +x, turned by `yaw`; `body` is one of `BODIES`, or drawn."""
    colour = draw.pick_colour()
    metal = Material(draw.tint(colour), gloss=0.7)
    drawn = draw.pick(BODIES, (0.6, 0.2, 0.2))
    kind = drawn if body is None else body
    at = rotate_by(yaw)
    length = 1.15 if kind == "car" else 1.25
    lower = taper(at(0, 0.48, 0), (length, 0.24, 0.52), (length * 0.97, 0.50), metal, Label.CAR, yaw)
    solids: list[Primitive] = [lower, *_cabin(kind, metal, yaw)]
    for x in (-0.68, 0.68):
        for z in (-0.5, 0.5):
            for material, radius, half in ((TYRE, 0.25, 0.08), (HUB, 0.13, 0.095)):
                ends = at(x, 0.25, z - half), at(x, 0.25, z + half)
                solids.append(Cone(*ends, radius, radius, material, Label.CAR))
    for z in (-0.34, 0.34):
        solids.append(Ellipsoid(at(length, 0.52, z), 0.09, HEADLIGHT, Label.CAR))
        solids.append(Ellipsoid(at(-length, 0.52, z), 0.08, TAIL_LIGHT, Label.CAR))
    return Thing(f"{with_article(colour)} {kind}", solids)


def _cabin(kind: str, metal: Material, yaw: float) -> list[Primitive]:
    """Windows, roof, and the load area of vans and trucks."""
    at = rotate_by(yaw)
    if kind == "car":
        return [
            taper(at(-0.08, 0.92, 0), (0.72, 0.21, 0.47), (0.48, 0.40), GLASS, Label.CAR, yaw),
            box(at(-0.08, 1.13, 0), (0.49, 0.035, 0.415), metal, Label.CAR, yaw),
        ]
    if kind == "van":
        return [
            taper(at(-0.12, 0.98, 0), (1.10, 0.28, 0.49), (0.95, 0.44), GLASS, Label.CAR, yaw),
            box(at(-0.16, 1.27, 0), (0.98, 0.04, 0.46), metal, Label.CAR, yaw),
            box(at(-0.62, 0.98, 0), (0.42, 0.26, 0.505), metal, Label.CAR, yaw),
        ]
    return [
        taper(at(0.12, 0.92, 0), (0.50, 0.22, 0.46), (0.36, 0.40), GLASS, Label.CAR, yaw),
        box(at(0.12, 1.14, 0), (0.38, 0.035, 0.415), metal, Label.CAR, yaw),
        box(at(-0.72, 0.74, -0.46), (0.48, 0.07, 0.05), metal, Label.CAR, yaw),
        box(at(-0.72, 0.74, 0.46), (0.48, 0.07, 0.05), metal, Label.CAR, yaw),
    ]
