"""What can be said of a stage: a caption in the words of the tiny world, of what can be seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from zeroconv.world.captions import GROUND_WORDS, NUMBERS, SKY_WORDS, IndoorStory, Story, Visible
from zeroconv.world.staging.description import StageDescription
from zeroconv.world.staging.seeds import room_look
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.objects import OBJECTS
from zeroconv.world.things.thing import listing, with_article

__all__ = ["StagedStory"]

FIRST = ("person", "house", "car", "tree")
"""What a landscape is about, if it is there."""
FLOOR_WORDS = {"carpet": "a carpet"}
MOST = 5
"""Other things that a caption names: the tiny base reads 47 tokens."""


@dataclass(frozen=True, eq=False)
class StagedStory:
    """Things on a stage.

    Attributes:
        stage: it.
        kind: of the scene.
        words: of the things, in their order.
        story: of the seed's scene, for the words of its room.
    """

    stage: StageDescription
    kind: str
    words: Sequence[str]
    story: Story

    def caption(self, draw: Draw, visible: Visible) -> str:
        """What is seen; nothing is left to chance."""
        seen = [i for i in range(len(self.words)) if visible(str(i))]
        return self._indoors(seen) if isinstance(self.story, IndoorStory) else self._outdoors(seen)

    def _outdoors(self, seen: Sequence[int]) -> str:
        ground, light = self.stage.ground, self.stage.light
        first = min(seen, key=lambda i: self._rank(self.stage.things[i].kind), default=None)
        main = "a landscape" if first is None else self.words[first]
        others = self._counted([i for i in seen if i != first])
        far = [("a lake", ground.lake is not None), ("mountains", ground.mountains), ("a path", ground.path is not None)]
        others += [words for words, there in far if there]
        return ", ".join([f"{main} {GROUND_WORDS[ground.covering][0]} {SKY_WORDS[light.time][0]}", *others])

    def _rank(self, kind: str) -> int:
        return FIRST.index(kind) if kind in FIRST else len(FIRST)

    def _indoors(self, seen: Sequence[int]) -> str:
        assert isinstance(self.story, IndoorStory)
        look, kinds = self.stage.room, [self.stage.things[i].kind for i in seen]
        own = room_look(self.story)
        wall = self.story.wall if look.wall in (None, own.wall) else f"{with_article(str(look.wall))} wall"
        floor = (
            self.story.floor if look.floor in (None, own.floor) else FLOOR_WORDS.get(str(look.floor), f"a {look.floor} floor")
        )
        people = [i for i, kind in zip(seen, kinds, strict=True) if kind == "person"]
        table = next((i for i, kind in zip(seen, kinds, strict=True) if kind == "big table"), None)
        if people:
            others = self._counted([i for i in seen if i != people[0]])
            return ", ".join([f"{self.words[people[0]]} in a room", *others, wall, floor])
        if table is not None:
            on_it = self._counted([i for i in seen if self.stage.things[i].kind in OBJECTS])
            beside = self._counted([i for i in seen if i != table and self.stage.things[i].kind not in OBJECTS])
            main = f"{listing(on_it)} on {self.words[table]}" if on_it else self.words[table]
            return ", ".join([main, *beside, wall])
        items = self._counted(seen)
        return ", ".join([f"a room with {listing(items)}" if items else "an empty room", wall, floor])

    def _counted(self, seen: Sequence[int]) -> list[str]:
        """The words of things; what occurs several times is counted."""
        words = [self.words[i] for i in seen]
        counts = {one: words.count(one) for one in words}
        return [
            one if count == 1 or not one.startswith(("a ", "an ")) else several(one, count) for one, count in counts.items()
        ][:MOST]


def several(words: str, count: int) -> str:
    """Several of a thing, such as "two pine trees" of "a pine tree"; what is said of one stays."""
    number = NUMBERS[count] if count < len(NUMBERS) else "many"
    noun, space, rest = words.partition(" ")[2].partition(" with ")
    head, inner, tail = noun.partition(" in ")
    plural = {"person": "people", "man": "men", "woman": "women", "bookshelf": "bookshelves"}
    last = head.split()[-1]
    head = head.removesuffix(last) + plural.get(last, f"{last}s")
    return f"{number} {head}{inner}{tail}{space}{rest}"
