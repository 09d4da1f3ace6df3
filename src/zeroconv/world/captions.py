"""Captions: templates filled with the things that can be seen in the finished picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from zeroconv.world.things.draw import Draw
from zeroconv.world.things.ground import Covering
from zeroconv.world.things.plants import Foliage
from zeroconv.world.things.sky import TimeOfDay
from zeroconv.world.things.thing import listing, with_article

NAMED_FROM = 0.0035
"""Share of the picture that a thing must cover to be named."""
Visible = Callable[[str], bool]
"""Whether enough is seen of the solids of that name."""

NUMBERS = ("no", "one", "two", "three")
SKY_WORDS: dict[TimeOfDay, tuple[str, ...]] = {
    "day": ("under a clear blue sky", "under a blue sky", "on a sunny day"),
    "evening": ("under an evening sky", "at sunset"),
    "night": ("at night", "under a night sky"),
    "cloudy": ("under a cloudy sky", "on a cloudy day"),
}
GROUND_WORDS: dict[Covering, tuple[str, ...]] = {
    "grass": ("on grass", "on green grass"),
    "snow": ("in the snow", "on snow"),
    "sand": ("on sand", "in the desert"),
    "autumn": ("in an autumn field",),
}
TREE_WORDS: dict[Foliage, str] = {
    "green": "tree",
    "blossom": "pink blossom tree",
    "pine": "pine tree",
    "autumn": "orange autumn tree",
}


class Story(Protocol):
    """Everything a scene's caption may mention."""

    def caption(self, draw: Draw, visible: Visible) -> str:
        """A caption that names only what is visible."""
        ...


@dataclass(frozen=True, eq=False)
class OutdoorStory:
    """A subject in a landscape.

    Attributes:
        trees: how many trees there are, named "tree 0" and so on.
        ball: colour of the ball, or None; likewise `fence`.
        features: things that are named wherever they are: a lake, mountains, a path.
    """

    subject: str
    time: TimeOfDay
    covering: Covering
    foliage: Foliage
    trees: int
    ball: str | None
    fence: str | None
    features: Sequence[str]

    def caption(self, draw: Draw, visible: Visible) -> str:
        """A caption in one of four forms."""
        extras = self._extras(draw, visible)
        draw.shuffle(extras)
        extras = [words for words in extras if draw.chance(0.85)]
        sky, ground = draw.pick(SKY_WORDS[self.time]), draw.pick(GROUND_WORDS[self.covering])
        main = self.subject if draw.chance(0.12) else f"{self.subject} {ground}"
        form = draw.integer(0, 4)
        after = "".join(", " + words for words in extras)
        if form == 0 and "with" in main:
            return f"{main}{after}, {sky.replace('under ', '')}"
        if form == 0:
            joined = bool(extras) and draw.chance(0.5)
            return main + (" with " + " and ".join(extras) if joined else after) + " " + sky
        if form == 1:
            return f"{main} {sky}{after}"
        if form == 2:
            return ", ".join([main, *extras, sky.replace("under ", "").replace("on a ", "")])
        return f"{main} {sky}" + (", " + " and ".join(extras) if extras else "")

    def _extras(self, draw: Draw, visible: Visible) -> list[str]:
        extras: list[str] = []
        trees, tree = sum(visible(f"tree {i}") for i in range(self.trees)), TREE_WORDS[self.foliage]
        if trees:
            extras.append(with_article(tree) if trees == 1 else f"{NUMBERS[trees]} {tree}s")
        if visible("bush"):
            extras.append(draw.pick(("bushes", "green bushes")))
        if self.ball is not None and visible("ball"):
            extras.append(with_article(self.ball) + " ball")
        if visible("rock"):
            extras.append("rocks")
        if self.fence is not None and visible("fence"):
            extras.append(f"a {self.fence} fence")
        return [*extras, *self.features]


Item = tuple[str, str]
"""Name of some solids, and their words."""


@dataclass(frozen=True, eq=False)
class IndoorStory:
    """Things in a room.

    Attributes:
        person: words of the person, if there is one.
        table: words of the table of a still life, if it is one.
        items: the things that matter.
        on_wall: window and painting, named now and then.
        wall, floor: words of the room itself.
    """

    person: str | None
    table: str | None
    items: Sequence[Item]
    on_wall: Sequence[Item]
    wall: str
    floor: str

    def caption(self, draw: Draw, visible: Visible) -> str:
        """What is in the room, then parts of the room in any order."""
        seen = [words for name, words in self.items if visible(name)]
        on_wall = [words for name, words in self.on_wall if visible(name)]
        if self.table is not None:
            main = self._still_life(draw, self.table, seen)
            others = [self.wall] if draw.chance(0.7) else []
        else:
            others = [self.wall] if draw.chance(0.7) else []
            others += [self.floor] if draw.chance(0.7) else []
            if self.person is not None:
                main = self.person + draw.pick((" in a room", " indoors"))
                others += seen
            elif seen:
                main = draw.pick(("a room with ", "a living room with ")) + listing(seen)
            else:
                main = "an empty room"
        others += [words for words in on_wall if draw.chance(0.8)]
        draw.shuffle(others)
        return ", ".join([main, *others])

    def _still_life(self, draw: Draw, table: str, seen: Sequence[str]) -> str:
        if not seen:
            return table
        things = listing(seen)
        return f"{things} on {table}" if draw.chance(0.75) else f"{table} with {things}"
