"""Small objects for tables and still lifes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from zeroconv.world.geometry.materials import FlatTexture, Material, SolidTexture, paint
from zeroconv.world.geometry.palette import COLOURS, Label, linear
from zeroconv.world.geometry.polyhedra import box, taper
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Capsule, Cone, Ellipsoid
from zeroconv.world.geometry.vectors import rotation, vector
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.thing import Place, Thing, with_article

Parts = list[Primitive]
TILT = vector([(1, 0, 0), (0, 0.8, -0.6), (0, 0.6, 0.8)])
"""Beach balls are tilted so that their poles do not point straight up."""
PATTERNS: dict[str, tuple[FlatTexture | SolidTexture, str]] = {
    "ball": ("beach ball", "beach "),
    "cube": ("checker", "checkered "),
    "cylinder": ("bands", "striped "),
}
"""Texture of the patterned variety of an object, and its word."""
FLOWER_COLOURS = ("red", "yellow", "pink", "white", "purple")
STALK, STEM, PAGES = paint((70, 130, 60)), paint((90, 62, 40)), paint((238, 232, 215))


def small_object(draw: Draw, kind: str, place: Place, size: float) -> Thing:
    """An object of `OBJECTS` standing on the point `place`; `size` is about half its height, metres."""
    colour = draw.pick_colour()
    material = Material(draw.tint(colour), gloss=0.35)
    pattern = ""
    fate = draw.share()
    if kind in PATTERNS and fate < 0.25:
        texture, pattern = PATTERNS[kind]
        white = linear((238, 234, 226))
        material = replace(material, texture=texture, frequency=4.0 / size / 2, second=white)
    if kind == "cube" and 0.25 < fate < 0.45:
        material = paint((168, 116, 70), "planks", 3 / size)
        colour, pattern = "", "wooden "
    yaw = draw.uniform(0, 1.57)
    if kind == "vase":
        solids = _vase(draw, place, size, material, yaw)
    elif kind == "apple":
        colour = draw.pick(("red", "green", "yellow"))
        solids = _apple(place, size, Material(draw.tint(colour), gloss=0.5))
    else:
        solids = SHAPES[kind](place, size, material, yaw)
    if kind == "vase" and draw.chance(0.5):
        return Thing(with_article(colour + " vase with flowers"), solids)
    words = f"{colour} {pattern}{kind}" if kind == "ball" else f"{pattern}{colour} {kind}"
    return Thing(with_article(" ".join(words.split())), solids)


def _ball(place: Place, s: float, material: Material, yaw: float) -> Parts:
    x, y, z = place
    return [Ellipsoid((x, y + s, z), s, material, Label.BALL, rotation(yaw) @ TILT)]


def _cube(place: Place, s: float, material: Material, yaw: float) -> Parts:
    x, y, z = place
    return [box((x, y + s * 0.85, z), (s * 0.85,) * 3, material, Label.BOX, yaw)]


def _cylinder(place: Place, s: float, material: Material, yaw: float) -> Parts:
    x, y, z = place
    return [Cone(place, (x, y + s * 2.1, z), s * 0.7, s * 0.7, material, Label.COLUMN)]


def _cone(place: Place, s: float, material: Material, yaw: float) -> Parts:
    x, y, z = place
    return [Cone(place, (x, y + s * 2.2, z), s * 0.9, 0.01, material, Label.COLUMN)]


def _pyramid(place: Place, s: float, material: Material, yaw: float) -> Parts:
    x, y, z = place
    half = (s * 0.95, s * 0.9, s * 0.95)
    return [taper((x, y + s * 0.9, z), half, (0.01, 0.01), material, Label.BOX, yaw)]


def _teapot(place: Place, s: float, material: Material, yaw: float) -> Parts:
    """Body, knob, spout, and a handle of four capsules along an arc."""
    x, y, z = place

    def handle(angle: float) -> Place:
        return (x - s * 0.75 - s * 0.42 * np.cos(angle), y + s * 0.75 + s * 0.42 * np.sin(angle), z)

    spout = ((x + s * 0.6, y + s * 0.5, z), (x + s * 1.3, y + s * 1.15, z))
    parts: Parts = [
        Ellipsoid((x, y + s * 0.68, z), (s * 0.85, s * 0.68, s * 0.85), material, Label.POT),
        Ellipsoid((x, y + s * 1.38, z), s * 0.15, material, Label.POT),
        Cone(*spout, s * 0.2, s * 0.1, material, Label.POT),
    ]
    for angle in np.linspace(-1.2, 1.0, 5)[:-1]:
        parts.append(Capsule(handle(angle), handle(angle + 0.55), s * 0.085, material, Label.POT))
    return parts


def _book(place: Place, s: float, material: Material, yaw: float) -> Parts:
    x, y, z = place
    middle = (x, y + s * 0.22, z)
    return [
        box(middle, (s * 0.95, s * 0.22, s * 0.7), material, Label.BOX, yaw),
        box(middle, (s * 0.97, s * 0.17, s * 0.66), PAGES, Label.BOX, yaw),
    ]


def _vase(draw: Draw, place: Place, s: float, material: Material, yaw: float) -> Parts:
    """A vase with five flowers, which are there even where the caption keeps silent about them."""
    x, y, z = place
    parts: Parts = [
        Ellipsoid((x, y + s * 0.75, z), (s * 0.62, s * 0.75, s * 0.62), material, Label.VASE),
        Cone((x, y + s * 1.2, z), (x, y + s * 1.75, z), s * 0.30, s * 0.36, material, Label.VASE),
    ]
    petals = paint(COLOURS[draw.pick(FLOWER_COLOURS)])
    for flower in range(5):
        a = flower * 1.26 + yaw
        tip = (x + s * 0.4 * np.cos(a), y + s * 2.5, z + s * 0.4 * np.sin(a))
        head = (x + s * 0.42 * np.cos(a), y + s * 2.55, z + s * 0.42 * np.sin(a))
        parts.append(Cone((x, y + s * 1.6, z), tip, 0.025 * s, 0.025 * s, STALK, Label.PLANT))
        parts.append(Ellipsoid(head, s * 0.24, petals, Label.PLANT))
    return parts


def _apple(place: Place, s: float, material: Material) -> Parts:
    x, y, z = place
    return [
        Ellipsoid((x, y + s * 0.6, z), (s * 0.66, s * 0.6, s * 0.66), material, Label.BALL),
        Cone((x, y + s * 1.1, z), (x + s * 0.08, y + s * 1.42, z), s * 0.05, s * 0.04, STEM, Label.BALL),
    ]


SHAPES: dict[str, Callable[[Place, float, Material, float], Parts]] = {
    "ball": _ball,
    "cube": _cube,
    "cylinder": _cylinder,
    "cone": _cone,
    "pyramid": _pyramid,
    "teapot": _teapot,
    "book": _book,
}
OBJECTS = ("ball", "cube", "cylinder", "cone", "pyramid", "vase", "teapot", "apple", "book")
"""Kinds of small objects, in the order they are drawn from."""
