"""What can be put on a stage, and what may be chosen about it."""

from typing import Final, Literal, get_args

from zeroconv.world.things.car import BODIES
from zeroconv.world.things.skeleton import POSES

__all__ = ["COLOURS", "KINDS", "ON_WALL", "VARIETIES", "ColourName", "ThingKind"]

ThingKind = Literal[
    "house", "car", "tree", "person", "bush", "rock", "fence", "ball",
    "sofa", "chair", "table", "big table", "bookshelf", "lamp", "plant", "rug",
    "cube", "cylinder", "cone", "pyramid", "vase", "teapot", "apple", "book", "window", "painting",
]  # fmt: skip
KINDS: Final[tuple[ThingKind, ...]] = get_args(ThingKind)
ON_WALL: Final = ("window", "painting")
"""Kinds that hang on the back wall: only scenes of seeds have them."""
ColourName = Literal[
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "grey", "black", "teal",
]  # fmt: skip
VARIETIES: Final[dict[str, tuple[str, ...]]] = {
    "tree": ("green", "autumn", "blossom", "pine"), "car": BODIES, "person": POSES,
}  # fmt: skip
"""What else can be chosen of a kind: foliage, body, pose."""
PAINTED: Final[dict[str, int]] = {
    "house": 0, "car": 0, "person": 0, "fence": 0, "ball": 0, "sofa": 0, "chair": 0, "lamp": 2, "plant": 0, "rug": 0,
    "cube": 0, "cylinder": 0, "cone": 0, "pyramid": 0, "vase": 0, "teapot": 0, "apple": 0, "book": 0, "painting": 1,
}  # fmt: skip
"""Kinds that can have a colour, each with the first of the solids that have it."""
COLOURS: Final = tuple(PAINTED)
