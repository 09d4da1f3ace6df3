"""Colours and ADE20K classes of the tiny world."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from zeroconv.world.geometry.vectors import Floats

RGB = Sequence[float]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (196, 48, 43),
    "orange": (232, 126, 38),
    "yellow": (240, 196, 58),
    "green": (74, 150, 72),
    "blue": (56, 112, 200),
    "purple": (132, 84, 178),
    "pink": (232, 136, 168),
    "brown": (140, 92, 58),
    "white": (236, 232, 222),
    "grey": (146, 148, 154),
    "black": (52, 52, 58),
    "teal": (46, 152, 156),
}
"""Colour words of the captions, with their 8-bit sRGB values."""

COLOUR_NAMES = tuple(COLOURS)


class Label(IntEnum):
    """The ADE20K classes (150-class list, counted from 0) that occur in the tiny world."""

    WALL = 0
    SKY = 2
    FLOOR = 3
    TREE = 4
    CEILING = 5
    WINDOW = 8
    GRASS = 9
    PERSON = 12
    EARTH = 13
    DOOR = 14
    TABLE = 15
    MOUNTAIN = 16
    PLANT = 17
    CHAIR = 19
    CAR = 20
    WATER = 21
    PAINTING = 22
    SOFA = 23
    SHELF = 24
    HOUSE = 25
    RUG = 28
    FENCE = 32
    ROCK = 34
    LAMP = 36
    BOX = 41
    COLUMN = 42
    SAND = 46
    PATH = 52
    BALL = 119
    POT = 125
    VASE = 135


def linear(rgb: RGB | Floats) -> Floats:
    """Linear light (3,) float32 in [0, 1] of an sRGB colour (3,) in [0, 255], by the 2.2 power."""
    return (np.asarray(rgb, np.float32) / 255.0) ** np.float32(2.2)
