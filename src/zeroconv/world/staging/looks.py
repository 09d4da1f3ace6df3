"""Other colours, clothes and windows for things that are there already, and the words for them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from zeroconv.world.geometry.materials import Material
from zeroconv.world.geometry.motion import repaint, with_material
from zeroconv.world.geometry.palette import COLOURS, Label, linear
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.vectors import vector
from zeroconv.world.staging.kinds import PAINTED, ColourName, ThingKind
from zeroconv.world.things.furniture import SHADE_LIGHT
from zeroconv.world.things.house import GLASS, LIT_GLASS
from zeroconv.world.things.thing import with_article

__all__ = ["coloured", "dressed_as", "name_colour", "with_windows"]

HAIR = 20
"""After 19 solids of trunk and limbs comes the head, then its hair."""
COLOUR_WORD = re.compile(rf"\b(?:{'|'.join(COLOURS)})\b")


def coloured(solids: Sequence[Primitive], kind: ThingKind, colour: ColourName) -> list[Primitive]:
    """The solids of a thing with its largest part in another colour."""
    old = solids[PAINTED[kind]].material
    return repaint(solids, old, recoloured(old, colour, kind))


def recoloured(material: Material, colour: ColourName, kind: ThingKind) -> Material:
    """A material in another colour, with its texture."""
    new = linear(COLOURS[colour])
    if kind == "lamp":
        new = new * 0.5 + linear(SHADE_LIGHT) * 0.5
    second = vector(new * 0.7 + 0.12) if kind == "rug" else material.second
    return replace(material, colour=vector(new), second=second)


def name_colour(words: str, kind: ThingKind, colour: ColourName) -> str:
    """The words of a thing with its colour named."""
    before, shirt, after = words.partition(" in ") if kind == "person" else ("", "", words)
    found = COLOUR_WORD.search(after)
    if found:
        after = after[: found.start()] + colour + after[found.end() :]
    else:
        after = re.sub(r"^(?:an? )?", f"a {colour} ", after, count=1)
    return before + shirt + re.sub(r"^an? (\w.*)$", lambda match: with_article(match[1]), after)


def dressed_as(new: Sequence[Primitive], old: Sequence[Primitive]) -> list[Primitive]:
    """A person's solids in the clothes, the skin and the hair of another one's."""
    hair = new[HAIR].material
    return [
        with_material(solid, old[i].material) if i <= HAIR
        else with_material(solid, old[HAIR].material) if solid.material is hair
        else solid
        for i, solid in enumerate(new)
    ]  # fmt: skip


def with_windows(solids: Sequence[Primitive], night: bool) -> list[Primitive]:
    """A house's solids with its windows lit at night, and dark by day."""
    wanted = LIT_GLASS if night else GLASS
    return [
        with_material(solid, wanted) if solid.label is Label.WINDOW and solid.material is not wanted else solid
        for solid in solids
    ]
