"""New things about the origin, drawn by a seed of their own."""

from collections.abc import Callable
from dataclasses import dataclass

from zeroconv.world.captions import TREE_WORDS
from zeroconv.world.geometry.materials import Material, paint
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Ellipsoid
from zeroconv.world.geometry.vectors import Floats
from zeroconv.world.outdoor import LONE_TREES
from zeroconv.world.staging.kinds import ThingKind
from zeroconv.world.things.car import car
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.furniture import FURNITURE, big_table, furniture, seat
from zeroconv.world.things.house import house
from zeroconv.world.things.objects import OBJECTS, small_object
from zeroconv.world.things.people import person
from zeroconv.world.things.plants import Foliage, bush, tree
from zeroconv.world.things.scenery import FENCE_COLOURS, fence
from zeroconv.world.things.skeleton import POSES, Pose
from zeroconv.world.things.thing import with_article

__all__ = ["FreshThing", "fresh"]

OUTDOOR_BALL, OBJECT = 0.25, 0.22
"""About half the height of a ball, and of the other small objects, metres."""
STONE = paint((128, 124, 118), "leaves", 1.3)


@dataclass(frozen=True, eq=False)
class FreshThing:
    """A thing about the origin.

    Attributes:
        words: in captions.
        joints: (18, 3) of a person, metres.
    """

    words: str
    solids: list[Primitive]
    joints: Floats | None = None


def fresh(kind: ThingKind, look: int, variety: str | None = None, night: bool = False) -> FreshThing:
    """A thing that nobody has seen yet.

    Args:
        kind: all but windows and paintings, which belong to a room's wall.
        look: seed of what is left to chance.
        variety: of `VARIETIES`; drawn if left out.
        night: whether a house has its windows lit.
    """
    draw = Draw(look)
    if kind == "person":
        return fresh_person(draw, variety)
    if kind == "tree":
        foliage: Foliage = draw.pick(tuple(TREE_WORDS))
        foliage = foliage if variety is None else variety  # pyright: ignore[reportAssignmentType]
        return FreshThing(LONE_TREES[foliage], tree(draw, 0, 0, foliage, 1.0))
    if kind in OBJECTS:
        thing = small_object(draw, kind, (0, 0, 0), OUTDOOR_BALL if kind == "ball" else OBJECT)
    elif kind in FURNITURE:
        colour = draw.pick_colour()
        thing = furniture(draw, kind, 0, 0, colour, Material(draw.tint(colour)))
    elif kind == "house":
        thing = house(draw, 0, night)
    elif kind == "car":
        thing = car(draw, 0, variety)
    elif kind == "big table":
        thing, _, _ = big_table(draw)
    else:
        return PLAIN[kind](draw)
    return FreshThing(thing.words, list(thing.solids))


def fresh_person(draw: Draw, variety: str | None) -> FreshThing:
    """Somebody in a pose, on a box if sitting. The clothes are drawn before the pose: they stay the same in another one."""
    state = draw.copy()
    pose: Pose = state.pick(POSES)
    pose = pose if variety is None else variety  # pyright: ignore[reportAssignmentType]
    one = person(draw, (0, 0, 0), 0, pose)
    box = [seat(0.04)] if pose == "sitting" else []
    return FreshThing(one.words, [*one.solids, *box], one.joints)


def fresh_bush(draw: Draw) -> FreshThing:
    """A bush."""
    return FreshThing("bushes", bush(draw, 0, 0, 1.0))


def fresh_rock(draw: Draw) -> FreshThing:
    """A rock."""
    s = draw.uniform(0.3, 0.5)
    radii = (s * draw.uniform(0.9, 1.4), s * draw.uniform(0.6, 0.9), s)
    return FreshThing("rocks", [Ellipsoid((0, s * 0.3, 0), radii, STONE, Label.ROCK)])


def fresh_fence(draw: Draw) -> FreshThing:
    """A fence."""
    colour = draw.pick(tuple(FENCE_COLOURS))
    return FreshThing(f"{with_article(colour)} fence", fence(paint(FENCE_COLOURS[colour]), 0, 1.0))


def fresh_rug(draw: Draw) -> FreshThing:
    """A rug."""
    colour = draw.pick_colour()
    wool = draw.tint(colour)
    radii = (draw.uniform(1.0, 1.5), 0.012, draw.uniform(0.7, 1.0))
    material = Material(wool, "rings", 3.0, wool * 0.7 + 0.12)
    return FreshThing(with_article(colour) + " rug", [Ellipsoid((0, 0, 0), radii, material, Label.RUG)])


PLAIN: dict[str, Callable[[Draw], FreshThing]] = {
    "bush": fresh_bush,
    "rock": fresh_rock,
    "fence": fresh_fence,
    "rug": fresh_rug,
}
