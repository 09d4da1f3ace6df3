"""What the colours of the tiny world look like in the light of a scene: by its own tables, lights and tone curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np

from zeroconv.world.geometry.palette import COLOURS, RGB, linear
from zeroconv.world.geometry.vectors import Floats, Ints, vector
from zeroconv.world.indoor import ABOVE_STRENGTH, EXPOSURE, FROM_ABOVE, LAMP_STRENGTH, LAMPS, WALLS
from zeroconv.world.mentions import Place
from zeroconv.world.rendering import tone
from zeroconv.world.things.furniture import SHADE_GLOW, SHADE_LIGHT
from zeroconv.world.things.ground import COVERINGS as GROUNDS
from zeroconv.world.things.plants import LEAVES
from zeroconv.world.things.sky import WEATHER, TimeOfDay

__all__ = ["LIGHTS", "Looks", "colour_looks", "sky_looks"]

LightName = Literal["day", "evening", "night", "cloudy", "indoors"]
LIGHTS: Final[tuple[LightName, ...]] = (*WEATHER, "indoors")
"""The four times of day, and the light of a room."""

DIRECT: Final = (0.12, 0.25, 0.5, 0.75, 1.0)
"""Shares of the sun's or the lamp's light that surfaces are looked at in: those that face it have 1."""
IN_SHADE: Final = (0.45, 0.7, 1.0)
"""Shares of the even glow that surfaces in the shade are looked at in: 0.45 where all around is near."""
NEAR_LAMP: Final = 1.25
"""The most light that a lamp gives what a picture looks at."""
FROM_BELOW: Final = 0.3
"""Light from the ground, as a share of that from above."""
SKY_LEVELS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the horizon's colour in the sky's."""
CLOUD_COVER: Final = (0.0, 0.45, 0.9)
"""Shares of the cloud's colour in the sky's."""


@dataclass(frozen=True, eq=False)
class Looks:
    """Named colours, each as it looks from shade to full light.

    Attributes:
        names: of the colours.
        rgb: (N, 3) float32 sRGB in [0, 1].
        index: (N,) which of the names each of them is.
    """

    names: tuple[str, ...]
    rgb: Floats
    index: Ints


@cache
def colour_looks(place: Place, light: LightName) -> Looks:
    """The colours that captions can name at a place, in a light.

    Args:
        place: of `zeroconv.world.mentions`; walls of rooms, leaves, skies and grounds have colours of their own.
        light: one of `LIGHTS`; a sky looks as it does in none of them.
    """
    if place == "sky":
        return sky_looks()
    colours = TABLES.get(place, {name: (rgb,) for name, rgb in COLOURS.items()})
    sun, glow, exposure = light_of(light)
    levels = [sun * np.float32(share) + glow for share in DIRECT] + [glow * np.float32(share) for share in IN_SHADE]
    rows, index = list[Floats](), list[int]()
    for which, those in enumerate(colours.values()):
        for albedo in map(linear, those):
            if place == "shade":
                albedo = (albedo + linear(SHADE_LIGHT)) * np.float32(0.5)
            shown = [albedo * level for level in levels]
            if place == "shade":
                shown = [colour * np.float32(1 - SHADE_GLOW) + albedo * np.float32(SHADE_GLOW) for colour in shown]
            rows += [tone(colour * np.float32(exposure)) for colour in shown]
            index += [which] * len(shown)
    return Looks(tuple(colours), np.stack(rows), np.array(index))


@cache
def sky_looks() -> Looks:
    """The four skies, from zenith to horizon, clear and under clouds."""
    rows, index = list[Floats](), list[int]()
    for which, weather in enumerate(WEATHER.values()):
        cloud = linear(weather.cloud) * np.float32(weather.cloud_gain)
        for level in SKY_LEVELS:
            clear = linear(weather.zenith) * np.float32(1 - level) + linear(weather.horizon) * np.float32(level)
            for cover in CLOUD_COVER if weather.clouds else CLOUD_COVER[:1]:
                rows.append(tone((clear * np.float32(1 - cover) + cloud * np.float32(cover)) * np.float32(weather.exposure)))
                index.append(which)
    return Looks(tuple(WEATHER), np.stack(rows), np.array(index))


def light_of(light: LightName) -> tuple[Floats, Floats, float]:
    """The source's light (3,), the even glow (3,) on upright surfaces, and the exposure."""
    if light == "indoors":
        lamp = vector(np.array(list(LAMPS.values())).mean(0)) * np.float32(LAMP_STRENGTH * NEAR_LAMP)
        return lamp, linear(FROM_ABOVE) * np.float32(ABOVE_STRENGTH * (1 + FROM_BELOW) / 2), EXPOSURE
    time: TimeOfDay = light
    weather = WEATHER[time]
    sky = (linear(weather.zenith) * np.float32(0.55) + linear(weather.horizon) * np.float32(0.45)) * np.float32(weather.ambient)
    return vector(weather.light) * np.float32(weather.strength), sky * np.float32((1 + FROM_BELOW) / 2), weather.exposure


TABLES: Final[Mapping[str, Mapping[str, Sequence[RGB]]]] = {
    "wall": {name: (rgb,) for name, rgb in WALLS},
    "leaves": {
        "green": (LEAVES["green"],), "orange": (LEAVES["autumn"],), "pink": (LEAVES["blossom"],),
        "dark green": (LEAVES["pine"],),
    },
    "ground": {name: (first, second) for name, (first, second, _) in GROUNDS.items()},
}  # fmt: skip
"""Colours of the places that have their own."""
