"""Where the light comes from: the sun outdoors, a lamp indoors, and an even glow from all around."""

from dataclasses import dataclass

import numpy as np

from zeroconv.world.geometry.vectors import FAR, Floats, Ints, column, dot

JITTER = np.array([[-0.5, -0.17], [0.17, -0.5], [-0.17, 0.5], [0.5, 0.17]], np.float32)
"""Each of a pixel's four samples looks at its own spot of the light: soft shadows for nothing."""


@dataclass(frozen=True, eq=False)
class Beams:
    """Ways from points to the light.

    Attributes:
        directions: (3, N) unit vectors towards the light.
        length: (N,) metres to it.
        strength: (N,) brightness that arrives.
    """

    directions: Floats
    length: Floats
    strength: Floats


@dataclass(frozen=True, eq=False)
class Sun:
    """A far light: unit `direction` (3,) towards it, `softness` its width in radians."""

    direction: Floats
    softness: np.float32

    def beams(self, points: Floats, sample: Ints) -> Beams:
        """Beams from points (3, N), each the `sample`-th (N,) of its pixel, 0 to 3."""
        across = np.cross(self.direction, [0, 1, 0.01])
        across /= np.linalg.norm(across)
        along = np.cross(self.direction, across)
        spots = np.stack([self.direction + j[0] * across + j[1] * along for j in self.softness * JITTER])
        spots = spots.astype(np.float32)
        spots /= np.linalg.norm(spots, axis=1, keepdims=True)
        count = points.shape[1]
        return Beams(np.take(spots.T, sample, 1), np.full(count, FAR), np.ones(count, np.float32))


@dataclass(frozen=True, eq=False)
class Lamp:
    """A near light at `position` (3,) metres, `softness` its width; bright up to `power` = 2 + metres²."""

    position: Floats
    softness: np.float32
    power: float = 7.5

    def beams(self, points: Floats, sample: Ints) -> Beams:
        """Beams from points (3, N), each the `sample`-th (N,) of its pixel, 0 to 3."""
        x, z = np.array([1, 0, 0], np.float32), np.array([0, 0, 1], np.float32)
        offsets = self.softness * JITTER
        spots = np.stack([self.position + 2.2 * j[0] * x + 2.2 * j[1] * z for j in offsets])
        way = np.take(spots.astype(np.float32).T, sample, 1) - points
        length = np.sqrt(dot(way, way))
        return Beams(way / length, length, self.power / (2.0 + length**2))


@dataclass(frozen=True, eq=False)
class Light:
    """All the light of a scene.

    Attributes:
        source: the sun or the lamp.
        colour, above, below: (3,) linear, of the source, of the glow from above and from the ground.
        reach: how far, metres, a near surface takes from that glow.
        exposure: factor before the tone curve.
    """

    source: Sun | Lamp
    colour: Floats
    above: Floats
    below: Floats
    reach: float
    exposure: float

    def glow(self, normals: Floats) -> Floats:
        """Even light (3, N) that arrives at surfaces with normals (3, N)."""
        half = np.float32(0.5)
        upward = half * normals[1]
        return column(self.above) * (half + upward) + column(self.below) * (half - upward)
