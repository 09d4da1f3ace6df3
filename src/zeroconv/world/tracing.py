"""First half of the renderer: which surface does every ray meet first?"""

import numpy as np

from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.surfaces import BACKDROP, SKY, Surfaces
from zeroconv.world.geometry.textures import albedo
from zeroconv.world.geometry.vectors import Floats, Ints, column
from zeroconv.world.scenes import Scene

FARTHEST = 400
"""Positions are computed up to this distance, metres."""


def trace(scene: Scene, rays: Floats, width: int, height: int) -> tuple[Surfaces, Floats]:
    """The surfaces seen along rays (3, height * width), and the share of the picture per solid."""
    camera, solids = scene.camera, scene.stage.solids
    origin = column(camera.eye)
    distance, met = scene.backdrop.cast(camera.eye, rays)
    owner = np.where(met, BACKDROP, SKY).astype(np.int16)
    ray_grid = rays.reshape(3, height, width)
    # Views: what is written into the grids below ends up in distance and owner.
    distance_grid, owner_grid = distance.reshape(height, width), owner.reshape(height, width)
    for index, solid in enumerate(solids):
        window = camera.window(solid.corners, width, height)
        if window is None:
            continue
        part = ray_grid[:, *window]
        nearest = distance_grid[window]
        hits = solid.hit(origin, part.reshape(3, -1)).reshape(nearest.shape)
        nearer = hits < nearest
        np.copyto(nearest, hits, where=nearer)
        np.copyto(owner_grid[window], np.int16(index), where=nearer)
    position = origin + rays * np.minimum(distance, FARTHEST)
    surfaces = Surfaces.bare(owner, distance, position)
    scene.backdrop.paint(surfaces, camera.eye, rays)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(len(solids) + 1))
    for index, solid in enumerate(solids):
        _paint(surfaces, solid, order[starts[index] : starts[index + 1]])
    return surfaces, np.diff(starts) / owner.size


def _paint(surfaces: Surfaces, solid: Primitive, samples: Ints) -> None:
    """Fill in the samples (M,) that see the solid."""
    if not samples.size:
        return
    points, material = surfaces.position[:, samples], solid.material
    normals = solid.normal(points)
    surfaces.normal[:, samples] = normals
    surfaces.label[samples] = solid.label
    surfaces.gloss[samples] = material.gloss
    surfaces.glow[samples] = material.glow
    if material.texture is None:
        surfaces.albedo[:, samples] = column(material.colour)
    else:
        surfaces.albedo[:, samples] = albedo(material, solid.local(points), solid.local_normal(normals))
