"""What every solid can do: be hit by a ray, know its normals, its distance and its own frame."""

from abc import ABC, abstractmethod

import numpy as np

from zeroconv.world.geometry.materials import Material
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.vectors import Floats


class Primitive(ABC):
    """A solid that rays can hit, with one material and one class.

    Attributes:
        corners: (K, 3) points whose hull holds the solid; they bound it in the picture.
        centre, radius: a sphere (3,), metres, that holds the solid; it bounds it in the scene.
    """

    corners: Floats
    centre: Floats
    radius: np.float32

    def __init__(self, material: Material, label: Label) -> None:
        """Remember what the solid is made of and which class its pixels get."""
        self.material = material
        self.label = label

    @abstractmethod
    def hit(self, origins: Floats, directions: Floats) -> Floats:
        """Distances (N,) to the first hit of rays (3, N) or (3, 1) + (3, N), or `FAR`."""

    @abstractmethod
    def normal(self, points: Floats) -> Floats:
        """Unit normals (3, N) pointing outwards, at points (3, N) of the surface."""

    @abstractmethod
    def distance(self, points: Floats) -> Floats:
        """Distance (N,) from points (3, N) to the surface, negative inside; a bound, not always exact."""

    @abstractmethod
    def local(self, points: Floats) -> Floats:
        """Points (3, N) in the solid's own frame, where its texture lives."""

    @abstractmethod
    def local_normal(self, normals: Floats) -> Floats:
        """Normals (3, N) in the solid's own frame."""
