"""What lies behind all solids: a landscape under the sky, or the inside of a room."""

from dataclasses import dataclass

import numpy as np

from zeroconv.world.geometry.materials import Material
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.surfaces import BACKDROP, Surfaces
from zeroconv.world.geometry.textures import albedo
from zeroconv.world.geometry.vectors import FAR, Bools, Floats, column
from zeroconv.world.things.ground import Ground
from zeroconv.world.things.sky import Sky

HORIZON = 400
"""The ground ends here, metres; the sky begins."""
FOG = np.float32(0.004)
"""Share of the light lost per metre of air."""
SKIRTING = 0.12
"""Height of a room's skirting board, metres."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """Ground and sky."""

    ground: Ground
    sky: Sky

    def cast(self, eye: Floats, rays: Floats) -> tuple[Floats, Bools]:
        """Distances (N,) at which rays (3, N) from the eye (3,) meet the ground, and which do."""
        down = rays[1] < -1e-5
        distance = np.where(down, -eye[1] / np.minimum(rays[1], -1e-5), FAR)
        met = down & (distance < HORIZON)
        return np.where(met, distance, FAR), met

    def paint(self, surfaces: Surfaces, eye: Floats, rays: Floats) -> None:
        """Fill in the ground. The sky is no surface: it is looked at last."""
        i = np.flatnonzero(surfaces.owner == BACKDROP)
        points = surfaces.position[:, i]
        surfaces.normal[1, i] = 1
        surfaces.albedo[:, i] = self.ground.colour(points, surfaces.distance[i])
        surfaces.label[i] = self.ground.labels(points)

    def openness(self, points: Floats, reach: np.float32) -> Floats | None:
        """Nothing to be near to: None."""
        return None

    def air(self, colour: Floats, distance: Floats) -> Floats:
        """Colour (3, N) seen through `distance` (N,) metres of air."""
        fog = 1 - np.exp(-distance * FOG)
        return colour * (1 - fog) + column(self.sky.horizon) * fog


@dataclass(frozen=True, eq=False)
class Room:
    """The inside of a box from corner `low` (3,) to corner `high` (3,), metres.

    Attributes:
        floor, ceiling, wall: their materials.
        trim: (3,) linear colour of the skirting board.
    """

    low: Floats
    high: Floats
    floor: Material
    ceiling: Material
    wall: Material
    trim: Floats

    def _exits(self, eye: Floats, rays: Floats) -> Floats:
        """Distance (3, N) at which rays leave the room's slab across each axis."""
        safe = np.where(np.abs(rays) < 1e-7, np.float32(1e-7), rays)
        origin = column(eye)
        return np.where(safe > 0, (column(self.high) - origin) / safe, (column(self.low) - origin) / safe)

    def cast(self, eye: Floats, rays: Floats) -> tuple[Floats, Bools]:
        """Distances (N,) at which rays (3, N) from the eye (3,) meet the inside, and which do: all."""
        distance = self._exits(eye, rays).min(0)
        return distance, np.ones(distance.shape, np.bool_)

    def paint(self, surfaces: Surfaces, eye: Floats, rays: Floats) -> None:
        """Fill in floor, ceiling and walls."""
        i = np.flatnonzero(surfaces.owner == BACKDROP)
        axis = self._exits(eye, rays[:, i]).argmin(0)
        outward = np.sign(rays[axis, i])
        surfaces.normal[axis, i] = -outward
        parts = (
            ((axis == 1) & (outward < 0), self.floor, Label.FLOOR),
            ((axis == 1) & (outward > 0), self.ceiling, Label.CEILING),
            (axis != 1, self.wall, Label.WALL),
        )
        for mask, material, label in parts:
            j = i[mask]
            surfaces.albedo[:, j] = albedo(material, surfaces.position[:, j], surfaces.normal[:, j])
            surfaces.label[j] = label
        low = i[(axis != 1) & (surfaces.position[1, i] < SKIRTING)]
        surfaces.albedo[:, low] = column(self.trim)

    def openness(self, points: Floats, reach: np.float32) -> Floats:
        """Distance (N,) of points (3, N) to the nearest wall, floor or ceiling in units of `reach`, 0 to 1."""
        gap = np.minimum(points - column(self.low), column(self.high) - points).min(0)
        return np.clip(gap / reach, 0, 1)

    def air(self, colour: Floats, distance: Floats) -> Floats:
        """Rooms are too small for fog: the colour itself."""
        return colour


Backdrop = Landscape | Room
