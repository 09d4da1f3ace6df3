"""Four skies: day, evening, night and cloudy, with clouds, stars, a moon and mountains."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from zeroconv.world.geometry.noise import noise
from zeroconv.world.geometry.palette import RGB, Label, linear
from zeroconv.world.geometry.vectors import FAR, Floats, Ints, column, dot
from zeroconv.world.things.draw import Draw

f32 = np.float32
TimeOfDay = Literal["day", "evening", "night", "cloudy"]


@dataclass(frozen=True, eq=False)
class Weather:
    """What a time of day looks like. Colours are sRGB in [0, 255], `light` is linear.

    Attributes:
        height: the sun's (or the moon's) least and greatest elevation, radians.
        clouds: range of the noise level above which there are clouds; None for no clouds.
        fall: how fast the horizon's colour gives way to the zenith's.
        ambient: strength of the sky's glow.
        mountains: brightness of far mountains.
    """

    height: tuple[float, float]
    zenith: RGB
    horizon: RGB
    light: RGB
    strength: float
    ambient: float
    clouds: tuple[float, float] | None
    cloud: RGB
    cloud_gain: float = 1.0
    softness: float = 0.07
    exposure: float = 1.0
    fall: float = 5.5
    mountains: float = 1.0


WEATHER: dict[TimeOfDay, Weather] = {
    "day": Weather(
        (0.5, 1.0), (58, 124, 208), (190, 220, 242), (1, 0.94, 0.84), 2.3, 0.85, (0.35, 0.62),
        (255, 255, 255), cloud_gain=1.15, exposure=0.66, mountains=1.15,
    ),
    "evening": Weather(
        (0.24, 0.42), (86, 84, 150), (255, 172, 104), (1, 0.68, 0.42), 2.2, 0.72, (0.4, 0.62),
        (255, 150, 120), exposure=0.76, fall=3.8, mountains=0.80,
    ),
    "night": Weather(
        (0.5, 0.9), (16, 24, 62), (60, 76, 134), (0.6, 0.72, 1), 0.75, 2.2, None,
        (50, 60, 100), exposure=1.3, mountains=0.20,
    ),
    "cloudy": Weather(
        (0.7, 1.1), (150, 160, 172), (206, 210, 214), (1, 1, 1), 0.75, 1.25, (0.18, 0.3),
        (226, 228, 232), softness=0.22, exposure=0.78, mountains=0.85,
    ),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Range:
    """One range of mountains: `height` as a slope, `distance` in metres, linear `colour` (3,)."""

    offset: float
    height: float
    distance: float
    colour: Floats

    def crest(self, azimuth: Floats) -> Floats:
        """Slope (N,) of the crest above the horizon, at azimuths (N,) in radians."""
        ridges = noise(azimuth * f32(1.25) + self.offset, np.full_like(azimuth, self.offset * 0.37))
        detail = noise(azimuth * f32(6) + self.offset, np.full_like(azimuth, self.offset))
        peaks = (1 - np.abs(2 * ridges - 1)) ** f32(1.3)
        return f32(self.height) * (f32(0.22) + f32(0.95) * peaks + f32(0.10) * detail)


@dataclass(frozen=True, eq=False)
class Sky:
    """A sky. Colours are (3,) linear, directions (3,).

    Attributes:
        sun: unit vector towards the sun.
        moon: direction of the moon, of any length.
        cloud_level: noise above it is cloud.
        cloud_offset: (2,) place in the noise.
        stars: seed of the stars.
        ranges: mountains, far ones first.
    """

    time: TimeOfDay
    weather: Weather
    sun: Floats
    moon: Floats
    zenith: Floats
    horizon: Floats
    cloud_level: float | None
    cloud_offset: Floats
    stars: int
    ranges: Sequence[Range] = field(default_factory=tuple)

    def look(self, directions: Floats) -> tuple[Floats, Ints, Floats]:
        """Colour (3, N), class (N,) and distance (N,) in unit directions (3, N); `FAR` without mountains."""
        height = np.maximum(directions[1], 0)
        share = np.exp(-height * f32(self.weather.fall))[None]
        colour = column(self.zenith) * (1 - share) + column(self.horizon) * share
        if self.cloud_level is not None:
            colour = self._with_clouds(colour, directions, height)
        if self.time == "night":
            colour = self._with_moon_and_stars(colour, directions, height)
        if self.time == "evening":
            halo = np.exp((dot(directions, self.sun) - 1) * 14)[None]
            colour = colour + halo * column(linear((255, 150, 70))) * f32(0.35)
        labels = np.full(height.shape, Label.SKY, np.uint8)
        distance = np.full(height.shape, FAR)
        azimuth = np.arctan2(directions[0], directions[2])
        slope = directions[1] / np.sqrt(directions[0] ** 2 + directions[2] ** 2)
        for mountains in self.ranges:
            here = np.flatnonzero((slope < mountains.crest(azimuth)) & (slope > -0.02))
            if here.size:
                colour[:, here] = self._mountain_colour(mountains, azimuth[here], slope[here])
                labels[here] = Label.MOUNTAIN
                distance[here] = mountains.distance
        return colour, labels, distance

    def _with_clouds(self, colour: Floats, d: Floats, height: Floats) -> Floats:
        """Clouds on a plane overhead, fading towards the horizon."""
        assert self.cloud_level is not None
        k = f32(0.32) / (height + f32(0.10))
        density = noise(d[0] * k + self.cloud_offset[0], d[2] * k + self.cloud_offset[1])
        a = np.clip((density - f32(self.cloud_level)) / f32(0.22), 0, 1)
        a = a * a * (3 - 2 * a) * np.clip(height * 12, 0, 1) * f32(0.9)
        cloud = linear(self.weather.cloud) * f32(self.weather.cloud_gain)
        return colour * (1 - a) + column(cloud) * a

    def _with_moon_and_stars(self, colour: Floats, d: Floats, height: Floats) -> Floats:
        towards = dot(d, self.moon / np.linalg.norm(self.moon))
        disc = np.clip((towards - f32(0.9991)) / f32(0.0003), 0, 1)
        glow = np.exp((towards - 1) * 220) * f32(0.25)
        colour = colour * (1 - disc) + column(linear((245, 240, 215))) * disc * f32(0.9)
        colour = colour + glow * column(linear((160, 170, 220)))
        azimuth, elevation = np.floor(np.arctan2(d[0], d[2]) * 150), np.floor(d[1] * 160)
        luck = np.sin(azimuth * 12.9898 + elevation * 78.233 + self.stars % 97) * f32(43758.5)
        luck = luck - np.floor(luck)
        return colour + ((luck > 0.9955) & (height > 0.08)).astype(np.float32) * f32(0.75)

    def _mountain_colour(self, mountains: Range, azimuth: Floats, slope: Floats) -> Floats:
        """Rock lit from the sun's side, snow on the upper third, and haze."""
        up = slope / (f32(mountains.height) * f32(1.15))
        ahead = mountains.crest(azimuth + f32(0.03) * (1 - up) + f32(0.01))
        steepness = (ahead - mountains.crest(azimuth - f32(0.02))) / f32(0.03)
        facets = noise(azimuth * f32(5) + up * f32(2.2), up * f32(2.0) - azimuth * f32(2.0))
        lit = f32(0.80) - steepness * f32(0.30) * np.sign(self.sun[0]) + f32(1.0) * (facets - f32(0.5))
        lit = np.clip(lit, 0.35, 1.2)
        snow = np.clip((up + f32(0.22) * (facets - f32(0.5)) - f32(0.66)) / f32(0.03), 0, 1)
        white = column(linear((240, 244, 252))) * np.clip(lit, 0.65, 1.1)
        colour = column(mountains.colour) * lit * (1 - snow) + white * snow
        haze = f32(0.12 if mountains.distance < 90 else 0.24)
        return colour * f32(self.weather.mountains) * (1 - haze) + column(self.horizon) * haze

    def glow(self) -> Floats:
        """Even light (3,) from above."""
        return (self.zenith * 0.55 + self.horizon * 0.45) * f32(self.weather.ambient)


def draw_sky(draw: Draw, time: TimeOfDay) -> Sky:
    """A sky of the given time of day, the sun mostly behind the camera so that fronts are lit."""
    weather = WEATHER[time]
    azimuth = draw.uniform(-1.15, 1.15) + (0 if draw.chance(0.9) else np.pi) + np.pi
    heights = {name: draw.uniform(*other.height) for name, other in WEATHER.items()}
    el = heights[time]
    sun = np.array([np.cos(el) * np.sin(azimuth), np.sin(el), np.cos(el) * np.cos(azimuth)], np.float32)
    level = None if weather.clouds is None else draw.uniform(*weather.clouds)
    offset = np.array([draw.uniform(0, 30), draw.uniform(0, 30)], np.float32)
    stars = draw.integer(0, 1 << 30)
    moon = np.array([draw.uniform(-0.3, 0.3), draw.uniform(0.16, 0.32), 1], np.float32)
    zenith, horizon = linear(weather.zenith), linear(weather.horizon)
    return Sky(time, weather, sun, moon, zenith, horizon, level, offset, stars)
