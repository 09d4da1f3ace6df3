"""The camera: a pinhole that never rolls."""

from dataclasses import dataclass

import numpy as np

from zeroconv.world.geometry.vectors import Floats, Vector, dot, vector

FIELD_OF_VIEW = np.deg2rad(46)
"""Angle across the picture, radians."""
NEAR_PLANE = 0.05
"""Points nearer than this, metres, cannot be projected safely."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera.

    Attributes:
        eye: (3,) position, metres.
        axes: (3, 3) rows right, up, forward: world vectors times `axes.T` are camera coordinates.
        focal: half a picture's shorter side over this is the tangent of half the field of view.
        target: (3,) the point in its centre, metres.
    """

    eye: Floats
    axes: Floats
    focal: np.float32
    target: Floats

    @classmethod
    def looking(cls, eye: Vector, at: Vector, field_of_view: float = FIELD_OF_VIEW) -> "Camera":
        """The camera at `eye` that has the point `at` in its centre and a level right axis.

        Args:
            eye: (3,) metres.
            at: (3,) metres; not above or below the eye.
            field_of_view: across the shorter side of the picture, radians.
        """
        position, target = vector(eye), vector(at)
        forward = target - position
        forward /= np.linalg.norm(forward)
        right = np.cross([0, 1, 0], forward)
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(forward, right), forward]).astype(np.float32)
        return cls(position, axes, np.float32(1 / np.tan(field_of_view / 2)), target)

    def rays(self, width: int, height: int | None = None) -> Floats:
        """Unit directions (3, height * width) float32 through the centres of the samples, row by row.

        Args:
            width: samples in a row.
            height: rows; as many as samples in one if left out.
        """
        height = width if height is None else height
        shorter = min(width, height)
        across, down = (((np.arange(side, dtype=np.float32) + np.float32(0.5)) / side * 2 - 1) * np.float32(side / shorter)
                        for side in (width, height))  # fmt: skip
        x, y = np.meshgrid(across, -down)
        rays = np.stack([x.ravel() / self.focal, y.ravel() / self.focal, np.ones(width * height, np.float32)])
        return self.axes.T @ (rays * (1 / np.sqrt(dot(rays, rays))))

    def project(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Points (K, 3) as x and y in the picture, -1 to 1 along its shorter side with y down, and depth in metres."""
        seen = (points - self.eye) @ self.axes.T
        depth = seen[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            return seen[:, 0] / depth * self.focal, -seen[:, 1] / depth * self.focal, depth

    def window(self, corners: Floats, width: int, height: int | None = None) -> tuple[slice, slice] | None:
        """Rows and columns of width x height samples in which the hull of the corners (K, 3) lies; None if in none."""
        height = width if height is None else height
        x, y, depth = self.project(corners)
        behind = depth < NEAR_PLANE
        if behind.all():
            return None
        if behind.any():
            return slice(0, height), slice(0, width)
        shorter = min(width, height)
        rows, columns = _span(y, height, shorter), _span(x, width, shorter)
        return None if rows.start >= rows.stop or columns.start >= columns.stop else (rows, columns)

    def depth(self, distance: Floats, rays: Floats) -> Floats:
        """Depth (N,) along the forward axis of samples at `distance` (N,) along their rays (3, N)."""
        return distance * (self.axes[2] @ rays)

    def normals(self, normals: Floats) -> Floats:
        """World normals (3, N) as right, up, forward: a surface that faces the camera has forward < 0."""
        return self.axes @ normals


def _span(values: Floats, side: int, shorter: int) -> slice:
    edge = np.float32(side / shorter)
    low = int(np.floor((values.min() + edge) / 2 * shorter))
    high = int(np.ceil((values.max() + edge) / 2 * shorter)) + 1
    return slice(max(low, 0), min(high, side))
