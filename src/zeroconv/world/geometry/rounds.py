"""Solids with curved faces: ellipsoids, cones and cylinders, capsules."""

import numpy as np

from zeroconv.world.geometry.materials import Material
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.vectors import CORNERS, FAR, Bools, Floats, Vector, column, dot, vector

NEAR = 1e-4
"""Hits closer than this, metres, are the surface the ray starts from."""


class Ellipsoid(Primitive):
    """Ellipsoid about `centre` with radii along its own axes."""

    def __init__(
        self, centre: Vector, radii: float | Vector, material: Material, label: Label, axes: Floats | None = None
    ) -> None:
        """Make a ball (one radius) or an ellipsoid (three), with local axes in the columns of `axes`."""
        super().__init__(material, label)
        self.centre = vector(centre)
        self.radii = vector(np.broadcast_to(np.asarray(radii), 3))
        self.axes = np.eye(3, dtype=np.float32) if axes is None else axes
        self.to_ball = (self.axes / self.radii).T
        self.radius = np.float32(self.radii.max())
        reach = np.sqrt(((self.axes * self.radii) ** 2).sum(1))
        self.corners = vector(self.centre + reach * CORNERS)

    def hit(self, origins: Floats, directions: Floats) -> Floats:
        """Nearer root of |o + t d| = 1 where the ellipsoid is the unit ball."""
        o = self.to_ball @ (origins - column(self.centre))
        d = self.to_ball @ directions
        a, b, c = dot(d, d), dot(o, d), dot(o, o) - 1
        q = b * b - a * c
        t = (-b - np.sqrt(np.maximum(q, 0))) / a
        return np.where((q > 0) & (t > NEAR), t, FAR)

    def normal(self, points: Floats) -> Floats:
        """Direction of the gradient of the ball's equation."""
        n = self.to_ball.T @ (self.to_ball @ (points - column(self.centre)))
        return n / np.sqrt(dot(n, n))

    def distance(self, points: Floats) -> Floats:
        """Distance where the ellipsoid is the unit ball, times the smallest radius."""
        q = self.to_ball @ (points - column(self.centre))
        return (np.sqrt(dot(q, q)) - 1) * self.radii.min()

    def local(self, points: Floats) -> Floats:
        """Points relative to the centre, along the axes."""
        return self.axes.T @ (points - column(self.centre))

    def local_normal(self, normals: Floats) -> Floats:
        """Normals along the axes."""
        return self.axes.T @ normals


class Cone(Primitive):
    """Capped cone or cylinder from `start` to `end`; its local y axis runs along it."""

    def __init__(
        self,
        start: Vector,
        end: Vector,
        start_radius: float,
        end_radius: float,
        material: Material,
        label: Label,
    ) -> None:
        """Make the cone from the centres (3,) and radii of its two caps."""
        super().__init__(material, label)
        self.start, b = vector(start), vector(end)
        self.height = np.float32(np.linalg.norm(b - self.start))
        y = (b - self.start) / self.height
        x = np.cross(y, [0, 0, 1.0] if abs(y[2]) < 0.9 else [1.0, 0, 0])
        x /= np.linalg.norm(x)
        self.axes = np.stack([x, y, np.cross(x, y)], 1).astype(np.float32)
        self.start_radius, self.end_radius = np.float32(start_radius), np.float32(end_radius)
        self.slope = np.float32((end_radius - start_radius) / self.height)
        widest = max(start_radius, end_radius)
        self.centre = (self.start + b) / 2
        self.radius = np.float32(np.hypot(self.height / 2, widest))
        reach = widest * np.sqrt(np.maximum(0, 1 - y * y))
        self.corners = vector(np.where(CORNERS > 0, np.maximum(self.start, b) + reach, np.minimum(self.start, b) - reach))

    def hit(self, origins: Floats, directions: Floats) -> Floats:
        """Nearest of the two hits of the mantle and the hits of the caps."""
        o = self.axes.T @ (origins - column(self.start))
        d = self.axes.T @ directions
        k = self.slope
        g = self.start_radius + k * o[1]
        a = d[0] ** 2 + d[2] ** 2 - (k * d[1]) ** 2
        b = o[0] * d[0] + o[2] * d[2] - k * d[1] * g
        c = o[0] ** 2 + o[2] ** 2 - g * g
        a = np.where(np.abs(a) < 1e-9, np.float32(1e-9), a)
        q = b * b - a * c
        root = np.sqrt(np.maximum(q, 0))
        best = np.full(q.shape, FAR, np.float32)
        for sign in (-1, 1):
            t = (-b + sign * root) / a
            y = o[1] + t * d[1]
            inside = (q > 0) & (y >= 0) & (y <= self.height) & (self.start_radius + k * y >= 0)
            best = _nearer(best, t, inside)
        return self._hit_caps(o, d, best)

    def _hit_caps(self, o: Floats, d: Floats, best: Floats) -> Floats:
        dy = np.where(np.abs(d[1]) < 1e-7, np.float32(1e-7), d[1])
        for level, radius in ((np.float32(0), self.start_radius), (self.height, self.end_radius)):
            t = (level - o[1]) / dy
            x, z = o[0] + t * d[0], o[2] + t * d[2]
            best = _nearer(best, t, x * x + z * z <= radius * radius)
        return best

    def normal(self, points: Floats) -> Floats:
        """Normal of the mantle, or of a cap for points near its level and away from the mantle."""
        q = self.axes.T @ (points - column(self.start))
        radius = np.sqrt(q[0] ** 2 + q[2] ** 2) + 1e-9
        length = np.hypot(1, self.slope)
        n = np.stack([q[0] / radius / length, np.full_like(radius, -self.slope / length), q[2] / radius / length])
        near = np.float32(1e-3) * max(self.height, 1)
        off_mantle = np.abs(radius - (self.start_radius + self.slope * q[1])) > 2 * near
        n = np.where((q[1] < near) & off_mantle, column(vector([0, -1, 0])), n)
        n = np.where((q[1] > self.height - near) & off_mantle, column(vector([0, 1, 0])), n)
        return self.axes @ n

    def distance(self, points: Floats) -> Floats:
        """Larger of the distances to the slab between the caps and, sideways, to the mantle."""
        q = self.axes.T @ (points - column(self.start))
        y = np.clip(q[1], 0, self.height)
        slab = np.abs(q[1] - self.height / 2) - self.height / 2
        return np.maximum(slab, np.sqrt(q[0] ** 2 + q[2] ** 2) - (self.start_radius + self.slope * y))

    def local(self, points: Floats) -> Floats:
        """The mantle unrolled: arc length, height, depth."""
        q = self.axes.T @ (points - column(self.start))
        return np.stack([np.arctan2(q[2], q[0]) * max(self.start_radius, self.end_radius), q[1], q[2]])

    def local_normal(self, normals: Floats) -> Floats:
        """Normals along the axes."""
        return self.axes.T @ normals


class Capsule(Primitive):
    """All points within `thickness` of the segment from `start` to `end`: a limb."""

    def __init__(self, start: Vector, end: Vector, thickness: float, material: Material, label: Label) -> None:
        """Make the capsule from the ends (3,) of its segment and its radius."""
        super().__init__(material, label)
        self.start, self.end = vector(start), vector(end)
        self.thickness = np.float32(thickness)
        self.along = self.end - self.start
        self.square = np.float32(max(self.along @ self.along, 1e-9))
        self.centre = (self.start + self.end) / 2
        self.radius = np.float32(np.sqrt(self.square) / 2 + thickness)
        low, high = np.minimum(self.start, self.end), np.maximum(self.start, self.end)
        self.corners = vector(np.where(CORNERS > 0, high + thickness, low - thickness))

    def hit(self, origins: Floats, directions: Floats) -> Floats:
        """Hit of the cylinder, or of the ball at the end it is hit beyond (after Inigo Quilez)."""
        from_start = origins - column(self.start)
        ba, bb, r2 = self.along, self.square, self.thickness * self.thickness
        ba_d, ba_o = ba @ directions, ba @ from_start
        d_o, o_o = dot(directions, from_start), dot(from_start, from_start)
        a = bb - ba_d * ba_d
        b = bb * d_o - ba_o * ba_d
        c = bb * o_o - ba_o * ba_o - r2 * bb
        h = b * b - a * c
        t = (-b - np.sqrt(np.maximum(h, 0))) / np.maximum(a, 1e-9)
        y = ba_o + t * ba_d
        from_end = np.where(y <= 0, from_start, origins - column(self.end))
        b2 = dot(directions, from_end)
        h2 = b2 * b2 - (dot(from_end, from_end) - r2)
        t2 = -b2 - np.sqrt(np.maximum(h2, 0))
        t = np.where((h >= 0) & (y > 0) & (y < bb), t, np.where((h >= 0) & (h2 > 0), t2, FAR))
        return np.where(t > NEAR, t, FAR)

    def _nearest(self, points: Floats) -> Floats:
        share = np.clip(self.along @ (points - column(self.start)) / self.square, 0, 1)
        return column(self.start) + column(self.along) * share

    def normal(self, points: Floats) -> Floats:
        """Direction away from the nearest point of the segment."""
        return (points - self._nearest(points)) / self.thickness

    def distance(self, points: Floats) -> Floats:
        """Exact distance."""
        q = points - self._nearest(points)
        return np.sqrt(dot(q, q)) - self.thickness

    def local(self, points: Floats) -> Floats:
        """Points relative to the start; a capsule's frame is not turned."""
        return points - column(self.start)

    def local_normal(self, normals: Floats) -> Floats:
        """Normals as they are; a capsule's frame is not turned."""
        return normals


def _nearer(best: Floats, t: Floats, valid: Bools) -> Floats:
    """The hits t (N,) where they are valid, ahead and nearer than the best so far, else the best."""
    return np.where(valid & (t > NEAR) & (t < best), t, best)
