"""Solids moved as they are: shifted, turned about the vertical, made larger or smaller, painted anew."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from zeroconv.world.geometry.materials import Material
from zeroconv.world.geometry.polyhedra import Convex
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Capsule, Cone, Ellipsoid
from zeroconv.world.geometry.vectors import Floats, Vector, rotation, vector

STILL = 1e-6
"""Changes below this, metres, radians or a share of the size, are none."""


@dataclass(frozen=True, eq=False)
class Motion:
    """p becomes `end` + `scale` * `axes` (p - `start`).

    Attributes:
        start, end: (3,) where the solid's pivot is and where it goes, metres.
        axes: (3, 3) rotation about the vertical.
        scale: factor of all lengths.
        is_still: whether nothing changes.
    """

    start: Floats
    end: Floats
    axes: Floats
    scale: float
    is_still: bool

    @classmethod
    def of(cls, start: Vector, end: Vector, yaw: float, scale: float) -> "Motion":
        """From `start` (3,) to `end` (3,), turned by `yaw` radians, `scale` times as large."""
        here, there = np.asarray(start, np.float64), np.asarray(end, np.float64)
        still = bool(np.abs(there - here).max() < STILL) and abs(yaw) < STILL and abs(scale - 1) < STILL
        return cls(here, there, rotation(yaw), scale, still)

    def points(self, points: Floats) -> Floats:
        """Points (3,) or (K, 3) where they go."""
        return vector(self.end + self.scale * ((points - self.start) @ self.axes.T))

    def joints(self, joints: Floats | None) -> Floats | None:
        """A person's joints (18, 3) where they go; None without a person."""
        return joints if self.is_still or joints is None else self.points(joints)

    def solids(self, solids: Sequence[Primitive]) -> list[Primitive]:
        """The solids where they go; the very same ones if nothing changes."""
        return list(solids) if self.is_still else [self._solid(solid) for solid in solids]

    def _solid(self, solid: Primitive) -> Primitive:
        material, label, scale = self._material(solid.material), solid.label, self.scale
        match solid:
            case Ellipsoid():
                axes = vector(self.axes @ solid.axes)
                return Ellipsoid(self.points(solid.centre), solid.radii * scale, material, label, axes)
            case Cone():
                radii = float(solid.start_radius) * scale, float(solid.end_radius) * scale
                end = solid.start + solid.axes[:, 1] * solid.height
                return Cone(self.points(solid.start), self.points(end), *radii, material, label)
            case Capsule():
                ends = self.points(solid.start), self.points(solid.end)
                return Capsule(*ends, float(solid.thickness) * scale, material, label)
            case Convex():
                normals = vector(solid.normals @ self.axes.T)
                offsets = vector(scale * (solid.offsets - solid.normals @ self.start) + normals @ self.end)
                frame = self.points(solid.origin), vector(self.axes @ solid.axes)
                return Convex(self.points(solid.corners), normals, offsets, *frame, material, label)
            case _:
                raise TypeError(f"{type(solid).__name__} cannot be moved")

    def _material(self, material: Material) -> Material:
        """Its texture grows with the solid."""
        if material.texture is None or abs(self.scale - 1) < STILL:
            return material
        return replace(material, frequency=material.frequency / self.scale)


def repaint(solids: Sequence[Primitive], old: Material, new: Material) -> list[Primitive]:
    """The solids with one material in place of another; they are copied where it is changed."""
    return [with_material(solid, new) if solid.material is old else solid for solid in solids]


def with_material(solid: Primitive, material: Material) -> Primitive:
    """A copy of the solid, made of something else."""
    copied = copy(solid)
    copied.material = material
    return copied
