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
        focal: half a picture's width over this is the tangent of half the field of view.
    """

    eye: Floats
    axes: Floats
    focal: np.float32

    @classmethod
    def looking(cls, eye: Vector, at: Vector) -> "Camera":
        """The camera at `eye` that has the point `at` in its centre and a level right axis."""
        position = vector(eye)
        forward = vector(at) - position
        forward /= np.linalg.norm(forward)
        right = np.cross([0, 1, 0], forward)
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(forward, right), forward]).astype(np.float32)
        return cls(position, axes, np.float32(1 / np.tan(FIELD_OF_VIEW / 2)))

    def rays(self, width: int) -> Floats:
        """Unit directions (3, width * width) float32 through the centres of the samples, row by row."""
        grid = (np.arange(width, dtype=np.float32) + np.float32(0.5)) / width * 2 - 1
        x, y = np.meshgrid(grid, -grid)
        rays = np.stack([x.ravel() / self.focal, y.ravel() / self.focal, np.ones(width * width, np.float32)])
        return self.axes.T @ (rays * (1 / np.sqrt(dot(rays, rays))))

    def project(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Points (K, 3) as x and y in the picture, -1 to 1 with y down, and depth in metres."""
        seen = (points - self.eye) @ self.axes.T
        depth = seen[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            return seen[:, 0] / depth * self.focal, -seen[:, 1] / depth * self.focal, depth

    def window(self, corners: Floats, width: int) -> tuple[slice, slice] | None:
        """Rows and columns of samples in which the hull of the corners (K, 3) lies; None if in none."""
        x, y, depth = self.project(corners)
        behind = depth < NEAR_PLANE
        if behind.all():
            return None
        if behind.any():
            return slice(0, width), slice(0, width)
        rows, columns = _span(y, width), _span(x, width)
        return None if rows.start >= rows.stop or columns.start >= columns.stop else (rows, columns)

    def depth(self, distance: Floats, rays: Floats) -> Floats:
        """Depth (N,) along the forward axis of samples at `distance` (N,) along their rays (3, N)."""
        return distance * (self.axes[2] @ rays)

    def normals(self, normals: Floats) -> Floats:
        """World normals (3, N) as right, up, forward: a surface that faces the camera has forward < 0."""
        return self.axes @ normals


def _span(values: Floats, width: int) -> slice:
    low = int(np.floor((values.min() + 1) / 2 * width))
    high = int(np.ceil((values.max() + 1) / 2 * width)) + 1
    return slice(max(low, 0), min(high, width))
