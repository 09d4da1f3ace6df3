"""What the rays of a picture meet: one column per sample."""

from dataclasses import dataclass

import numpy as np

from zeroconv.world.geometry.vectors import Floats, Ints

SKY, BACKDROP = -1, -2
"""Owners of samples that meet no solid: nothing at all, or the ground, a wall, the floor."""


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The surfaces seen by N samples; its arrays are filled in place.

    Attributes:
        owner: (N,) int16 index of the solid, `BACKDROP` or `SKY`.
        distance: (N,) metres along the ray, `FAR` in the sky.
        position: (3, N) metres.
        normal: (3, N) unit vectors, 0 in the sky.
        albedo: (3, N) linear colour.
        label: (N,) uint8 ADE20K class.
        gloss, glow: (N,) as in `Material`.
    """

    owner: Ints
    distance: Floats
    position: Floats
    normal: Floats
    albedo: Floats
    label: Ints
    gloss: Floats
    glow: Floats

    @classmethod
    def bare(cls, owner: Ints, distance: Floats, position: Floats) -> "Surfaces":
        """Surfaces of which only the owner and the place are known."""
        count = owner.size

        def zeros(*shape: int) -> Floats:
            return np.zeros(shape, np.float32)

        label = np.zeros(count, np.uint8)
        return cls(owner, distance, position, zeros(3, count), zeros(3, count), label, zeros(count), zeros(count))

    def take(self, samples: Ints) -> "Surfaces":
        """Copies of the columns `samples` (M,)."""
        return Surfaces(
            self.owner[samples],
            self.distance[samples],
            self.position.take(samples, 1),
            self.normal.take(samples, 1),
            self.albedo.take(samples, 1),
            self.label[samples],
            self.gloss[samples],
            self.glow[samples],
        )
