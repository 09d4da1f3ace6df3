"""Grass, snow, sand or autumn leaves, perhaps with a path or a lake."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from zeroconv.world.geometry.noise import noise
from zeroconv.world.geometry.palette import RGB, Label, linear
from zeroconv.world.geometry.vectors import Bools, Floats, Ints, column

f32 = np.float32
Covering = Literal["grass", "snow", "sand", "autumn"]
COVERINGS: dict[Covering, tuple[RGB, RGB, Label]] = {
    "grass": ((92, 134, 54), (60, 104, 42), Label.GRASS),
    "snow": ((238, 242, 250), (205, 216, 236), Label.EARTH),
    "sand": ((226, 200, 148), (206, 174, 120), Label.SAND),
    "autumn": ((170, 120, 52), (128, 92, 44), Label.GRASS),
}
PATH_HALF_WIDTH = 0.38
PATH_COLOUR = (190, 172, 140)


@dataclass(frozen=True, eq=False)
class Ground:
    """The plane y = 0.

    Attributes:
        covering: what grows or lies on it.
        offset: place in the noise.
        path: x of the house door from which a path comes towards the viewer, metres, or None.
        lake: z beyond which all is water, metres, or None.
        water: (3,) linear colour of the lake.
    """

    covering: Covering
    offset: float
    path: float | None
    lake: float | None
    water: Floats

    def mean_colour(self) -> Floats:
        """(3,) linear: the colour of the light the ground throws back."""
        first, second, _ = COVERINGS[self.covering]
        return linear(first) * f32(0.5) + linear(second) * f32(0.5)

    def colour(self, points: Floats, distance: Floats) -> Floats:
        """Albedo (3, N) at points (3, N) of the ground, seen from `distance` (N,) metres."""
        x, z = points[0], points[2]
        first, second, _ = COVERINGS[self.covering]
        coarse = noise(x * f32(0.16) + self.offset, z * f32(0.16))
        fine = noise(x * f32(1.9), z * f32(1.9) + self.offset)
        near = np.clip(f32(1.3) - distance * f32(0.045), 0, 1)
        share = np.clip(coarse * f32(0.75) + f32(0.12) + (fine - f32(0.5)) * f32(0.55) * near, 0, 1)
        colour = column(linear(first)) * (1 - share) + column(linear(second)) * share
        if self.path is not None:
            cover = np.clip((f32(PATH_HALF_WIDTH) - self._beside_path(points)) / f32(0.08), 0, 1) * (z < 0)
            gravel = column(linear(PATH_COLOUR)) * (f32(0.82) + f32(0.3) * noise(x * 2, z * 2))
            colour = colour * (1 - cover) + gravel * cover
        if self.lake is not None:
            waves = f32(0.75) + f32(0.5) * noise(x * f32(0.05), z * f32(0.5))
            colour = np.where(z > self.lake, column(self.water) * waves, colour)
        return colour

    def labels(self, points: Floats) -> Ints:
        """Classes (N,) uint8 at points (3, N) of the ground."""
        labels = np.full(points.shape[1], COVERINGS[self.covering][2], np.uint8)
        if self.path is not None:
            labels[self._on_path(points)] = Label.PATH
        if self.lake is not None:
            labels[points[2] > self.lake] = Label.WATER
        return labels

    def _beside_path(self, points: Floats) -> Floats:
        """Distance (N,) from the winding middle of the path."""
        assert self.path is not None
        return np.abs(points[0] - f32(self.path) - f32(0.25) * np.sin(points[2] * f32(0.5)))

    def _on_path(self, points: Floats) -> Bools:
        return (self._beside_path(points) < PATH_HALF_WIDTH) & (points[2] < 0)
