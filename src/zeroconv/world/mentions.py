"""Captions read back: which things a caption of the tiny world names, and in which colours.

Only what can be looked for in a picture is read: a thing whose class is one of `Label`, its colour, the sky and the ground.
All other words (a chimney, hair, a pose, a number, a pattern) are handed back as they are.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from zeroconv.world.captions import GROUND_WORDS, SKY_WORDS
from zeroconv.world.geometry.palette import COLOUR_NAMES, Label
from zeroconv.world.indoor import WALLS
from zeroconv.world.things.ground import COVERINGS

__all__ = ["Mention", "ReadCaption", "read_caption"]

Place = Literal["whole", "walls", "roof", "shirt", "trousers", "shade", "wall", "leaves", "sky", "ground"]
"""Where on the pixels of its class a thing's colour is, and which colours it can have."""

Look = TypeVar("Look", bound=str)
PARTS: Final = ("roof", "shirt", "trousers")
"""Places of things that have no class of their own: they are part of another thing."""
SURROUNDINGS: Final = ("sky", "ground", "wall", "floor", "carpet")
"""Nouns of what fills a picture, beside which everything else is an object."""

NOUNS: Final[dict[str, tuple[Label, Place]]] = {
    "house": (Label.HOUSE, "walls"),
    "roof": (Label.HOUSE, "roof"),
    "door": (Label.DOOR, "whole"),
    "car": (Label.CAR, "whole"),
    "van": (Label.CAR, "whole"),
    "pickup truck": (Label.CAR, "whole"),
    "tree": (Label.TREE, "leaves"),
    "trees": (Label.TREE, "leaves"),
    "bushes": (Label.PLANT, "whole"),
    "person": (Label.PERSON, "whole"),
    "man": (Label.PERSON, "whole"),
    "woman": (Label.PERSON, "whole"),
    "shirt": (Label.PERSON, "shirt"),
    "trousers": (Label.PERSON, "trousers"),
    "ball": (Label.BALL, "whole"),
    "apple": (Label.BALL, "whole"),
    "cube": (Label.BOX, "whole"),
    "pyramid": (Label.BOX, "whole"),
    "book": (Label.BOX, "whole"),
    "cylinder": (Label.COLUMN, "whole"),
    "cone": (Label.COLUMN, "whole"),
    "teapot": (Label.POT, "whole"),
    "pot": (Label.POT, "whole"),
    "vase": (Label.VASE, "whole"),
    "flowers": (Label.PLANT, "whole"),
    "plant": (Label.PLANT, "whole"),
    "sofa": (Label.SOFA, "whole"),
    "floor lamp": (Label.LAMP, "shade"),
    "chair": (Label.CHAIR, "whole"),
    "bookshelf": (Label.SHELF, "whole"),
    "table": (Label.TABLE, "whole"),
    "rug": (Label.RUG, "whole"),
    "window": (Label.WINDOW, "whole"),
    "painting": (Label.PAINTING, "whole"),
    "rocks": (Label.ROCK, "whole"),
    "fence": (Label.FENCE, "whole"),
    "lake": (Label.WATER, "whole"),
    "mountains": (Label.MOUNTAIN, "whole"),
    "path": (Label.PATH, "whole"),
    "wall": (Label.WALL, "wall"),
    "floor": (Label.FLOOR, "whole"),
    "carpet": (Label.FLOOR, "whole"),
}
"""The class of each noun of a caption, and where its colour is."""

COLOURS: Final = tuple(dict.fromkeys([*COLOUR_NAMES, *(name for name, _ in WALLS)]))
PATTERNS: Final = ("striped", "checkered", "beach", "brick", "wooden", "autumn", "blossom", "pine", "round", "tiled")
SMALL_WORDS: Final = ("a", "an", "and", "at", "both", "in", "indoors", "living", "of", "on", "room", "the", "under", "with")


@dataclass(frozen=True)
class Mention:
    """A thing that a caption names.

    Attributes:
        words: as the caption has them, without an article: "striped red shirt".
        noun: "shirt"; "sky" and "ground" for all words that tell of them.
        colour: "red"; of the sky and the ground what they look like: "evening", "snow". None where none is said.
        label: the class of its pixels, or of the thing that it is a part of.
        place: where on these pixels its colour is.
    """

    words: str
    noun: str
    colour: str | None
    label: Label
    place: Place

    @property
    def is_part(self) -> bool:
        """Whether it has no class of its own: it is there if the thing that it is a part of is."""
        return self.place in PARTS

    @property
    def is_surrounding(self) -> bool:
        """Whether it is the sky, the ground, a wall or a floor, rather than an object."""
        return self.noun in SURROUNDINGS


@dataclass(frozen=True)
class ReadCaption:
    """What was read in a caption.

    Attributes:
        mentions: the things it names, in its order.
        unread: words that say more than can be looked for, in their order.
    """

    mentions: tuple[Mention, ...]
    unread: tuple[str, ...]


def core_phrases(words: Mapping[Look, Sequence[str]]) -> dict[str, Look]:
    """From the words that captions use ("under a blue sky": "day") to what is left of them in every form of a caption."""
    return {re.sub(r"^((under|on|in|an|a|the) )+", "", phrase): look for look, those in words.items() for phrase in those}


SKIES: Final = core_phrases(SKY_WORDS)
GROUNDS: Final = core_phrases(GROUND_WORDS)


def alternatives(words: Sequence[str] | Mapping[str, object]) -> str:
    """A pattern that matches any of the words, the longest first."""
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


MENTION: Final = re.compile(
    rf"\b(?:(?P<sky>{alternatives(SKIES)})|(?P<ground>{alternatives(GROUNDS)})"
    rf"|(?P<before>(?:(?:{alternatives((*COLOURS, *PATTERNS))}) )*)(?P<noun>{alternatives(NOUNS)}))\b"
)


def read_caption(caption: str) -> ReadCaption:
    """Read a caption of the tiny world.

    Args:
        caption: as `make` writes them, or any words: those that are not the tiny world's are left unread.
    """
    mentions, left, unread = list[Mention](), 0, list[str]()
    for match in MENTION.finditer(caption.lower()):
        unread += other_words(caption[left : match.start()])
        left = match.end()
        mentions.append(_mention(match))
        unread += [word for word in (match["before"] or "").split() if word not in COLOURS]
    unread += other_words(caption[left:])
    return ReadCaption(tuple(mentions), tuple(unread))


def other_words(text: str) -> list[str]:
    """The words of a text that say something."""
    return [word for word in re.findall(r"[a-z0-9-]+", text.lower()) if word not in SMALL_WORDS]


def _mention(match: re.Match[str]) -> Mention:
    words = match[0]
    if match["sky"]:
        return Mention(words, "sky", SKIES[words], Label.SKY, "sky")
    if match["ground"]:
        covering = GROUNDS[words]
        return Mention(words, "ground", covering, COVERINGS[covering][2], "ground")
    label, place = NOUNS[match["noun"]]
    colour = next((word for word in match["before"].split() if word in COLOURS), None)
    return Mention(words, match["noun"], colour, label, place)
