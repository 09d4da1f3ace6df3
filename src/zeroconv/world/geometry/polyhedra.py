"""Solids with flat faces: boxes, gable roofs, tapered boxes."""

from typing import Literal

import numpy as np

from zeroconv.world.geometry.materials import Material
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.vectors import CORNERS, FAR, Floats, Vector, column, rotation, vector


class Convex(Primitive):
    """The points p with n_i . p <= d_i for every face i."""

    def __init__(
        self,
        corners: Floats,
        normals: Floats,
        offsets: Floats,
        origin: Floats,
        axes: Floats,
        material: Material,
        label: Label,
    ) -> None:
        """Make the solid from its corners (K, 3) and its faces' normals n (M, 3) and offsets d (M,).

        `origin` (3,) and `axes` (3, 3, local axes in columns) are the frame of its texture.
        """
        super().__init__(material, label)
        self.corners = vector(corners)
        self.normals = normals
        self.offsets = offsets
        self.origin = origin
        self.axes = axes
        self.centre = self.corners.mean(0)
        self.radius = np.float32(np.sqrt(((self.corners - self.centre) ** 2).sum(1).max()))

    def hit(self, origins: Floats, directions: Floats) -> Floats:
        """Latest entry into a half-space, if it comes before the earliest exit from one."""
        shape = directions.shape[1:]
        entry, leave = np.full(shape, -FAR), np.full(shape, FAR)
        for n, offset in zip(self.normals, self.offsets, strict=True):
            slope = n[0] * directions[0] + n[1] * directions[1] + n[2] * directions[2]
            slope[slope == 0] = 1e-9
            t = (offset - (n[0] * origins[0] + n[1] * origins[1] + n[2] * origins[2])) / slope
            enters = slope < 0
            np.maximum(entry, np.where(enters, t, -FAR), out=entry)
            np.minimum(leave, np.where(enters, FAR, t), out=leave)
        return np.where((entry <= leave) & (entry > 1e-4), entry, FAR)

    def normal(self, points: Floats) -> Floats:
        """Normal of the face whose plane is nearest."""
        return self.normals[(self.normals @ points - column(self.offsets)).argmax(0)].T

    def distance(self, points: Floats) -> Floats:
        """Largest signed distance to a face's plane: exact over faces, a lower bound over edges."""
        largest = np.full(points.shape[1:], -FAR)
        for n, offset in zip(self.normals, self.offsets, strict=True):
            np.maximum(largest, n[0] * points[0] + n[1] * points[1] + n[2] * points[2] - offset, out=largest)
        return largest

    def local(self, points: Floats) -> Floats:
        """Points relative to the origin, along the axes."""
        return self.axes.T @ (points - column(self.origin))

    def local_normal(self, normals: Floats) -> Floats:
        """Normals along the axes."""
        return self.axes.T @ normals


def box(centre: Vector, half: Vector, material: Material, label: Label, yaw: float = 0.0) -> Convex:
    """Box with the half sizes `half` (x, y, z), turned by `yaw` about its centre."""
    axes, c, h = rotation(yaw), vector(centre), vector(half)
    corners = c + (h * CORNERS.astype(np.float32)) @ axes.T
    normals = np.concatenate([axes.T, -axes.T])
    return Convex(corners, normals, normals @ c + np.concatenate([h, h]), c, axes, material, label)


def prism(
    base: Vector,
    half: tuple[float, float],
    height: float,
    material: Material,
    label: Label,
    yaw: float = 0.0,
    along: Literal["x", "z"] = "x",
) -> Convex:
    """Gable roof on the base centre `base`: half length of the ridge and half depth, `height` to the ridge.

    The ridge runs along the local axis `along`.
    """
    axes, c = rotation(yaw if along == "x" else yaw + np.pi / 2), vector(base)
    hx, hz = half
    corners = vector([(-hx, 0, -hz), (hx, 0, -hz), (-hx, 0, hz), (hx, 0, hz), (-hx, height, 0), (hx, height, 0)])
    slant = np.hypot(height, hz)
    up, out, reach = hz / slant, height / slant, height * hz / slant
    normals = vector([(0, -1, 0), (1, 0, 0), (-1, 0, 0), (0, up, out), (0, up, -out)]) @ axes.T
    offsets = vector([0, hx, hx, reach, reach])
    return Convex(c + corners @ axes.T, normals, offsets + normals @ c, c, axes, material, label)


def taper(
    centre: Vector,
    half: tuple[float, float, float],
    top: tuple[float, float],
    material: Material,
    label: Label,
    yaw: float = 0.0,
) -> Convex:
    """Box whose top is shrunk to the half sizes `top` (x, z): a car's cabin, a pyramid."""
    axes, c = rotation(yaw), vector(centre)
    hx, hy, hz = half
    lower, upper = np.array([hx, -hy, hz]), np.array([top[0], hy, top[1]])
    corners = vector([np.where(sign[1] < 0, lower, upper) * (sign[0], 1, sign[2]) for sign in CORNERS])
    normals: list[tuple[float, float, float]] = []
    offsets: list[float] = []
    for bottom, narrow, side in ((hx, top[0], (1, 0)), (hz, top[1], (0, 1))):
        slope = (bottom - narrow) / (2 * hy)
        length = float(np.hypot(1, slope))
        for sign in (-1, 1):
            normals.append((sign * side[0] / length, slope / length, sign * side[1] / length))
            offsets.append((bottom - hy * slope) / length)
    normals += [(0, 1, 0), (0, -1, 0)]
    turned = vector(normals) @ axes.T
    return Convex(c + corners @ axes.T, turned, vector([*offsets, hy, hy]) + turned @ c, c, axes, material, label)
