"""Second half of the renderer: how bright is a surface, and of which colour?"""

from collections.abc import Sequence

import numpy as np

from zeroconv.world.geometry.light import Beams, Light
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.surfaces import Surfaces
from zeroconv.world.geometry.vectors import Bools, Floats, Ints, column, dot
from zeroconv.world.scenes import Scene

f32 = np.float32
LIFT = f32(0.004)
"""Shadow rays start this far above their surface, metres."""
SHINE = 40
"""Exponent of highlights (Blinn, 1977)."""


def illuminate(scene: Scene, surfaces: Surfaces, rays: Floats, sample: Ints) -> Floats:
    """Linear colour (3, N) of surfaces seen along rays (3, N), each the `sample`-th (N,) of its pixel."""
    light, normal, albedo = scene.light, surfaces.normal, surfaces.albedo
    casters = [solid for solid in scene.stage.solids if solid.material.shadow]
    beams = light.source.beams(surfaces.position, sample)
    facing = dot(normal, beams.directions)
    towards_light = np.flatnonzero(facing > 0)
    sunny = np.zeros(facing.shape, np.float32)
    sunny[towards_light[~_shadowed(casters, surfaces, beams, towards_light)]] = 1
    direct = np.maximum(facing, 0) * sunny * beams.strength
    indirect = light.glow(normal) * (f32(0.45) + f32(0.55) * _openness(scene, casters, surfaces))
    colour = albedo * (column(light.colour) * direct + indirect)
    _add_glow(colour, surfaces)
    _add_gloss(colour, light, surfaces, rays, beams, sunny)
    return colour


def _add_glow(colour: Floats, surfaces: Surfaces) -> None:
    """Let glowing surfaces give off a share of their light themselves, in place."""
    i = np.flatnonzero(surfaces.glow)
    glow = surfaces.glow[i]
    colour[:, i] = colour[:, i] * (1 - glow) + surfaces.albedo[:, i] * glow


def _add_gloss(colour: Floats, light: Light, surfaces: Surfaces, rays: Floats, beams: Beams, sunny: Floats) -> None:
    """Add highlights, and the sky's mirror image at grazing angles, to glossy surfaces, in place."""
    i = np.flatnonzero(surfaces.gloss)
    normal, gloss, ray = surfaces.normal.take(i, 1), surfaces.gloss[i], rays.take(i, 1)
    halfway = beams.directions.take(i, 1) - ray
    halfway /= np.sqrt(dot(halfway, halfway)) + 1e-9
    highlight = gloss * np.maximum(dot(halfway, normal), 0) ** SHINE * sunny[i]
    shaded = colour[:, i] + highlight * column(light.colour)
    mirror = gloss * (1 - np.maximum(-dot(ray, normal), 0)) ** 3 * f32(0.5)
    colour[:, i] = shaded * (1 - mirror) + column(light.above) * mirror


def _shadowed(casters: Sequence[Primitive], surfaces: Surfaces, beams: Beams, samples: Ints) -> Bools:
    """Which of the samples (M,) are cut off from the light."""
    blocked = np.zeros(samples.shape, np.bool_)
    start = surfaces.position.take(samples, 1) + surfaces.normal.take(samples, 1) * LIFT
    way, length = beams.directions.take(samples, 1), beams.length[samples]
    for solid in casters:
        x, y, z = solid.centre[0] - start[0], solid.centre[1] - start[1], solid.centre[2] - start[2]
        along = x * way[0] + y * way[1] + z * way[2]
        beside = x * x + y * y + z * z - along * along
        near = (beside < solid.radius * solid.radius) & (along > -solid.radius) & ~blocked
        rays = np.flatnonzero(near)
        if rays.size:
            hits = solid.hit(start.take(rays, 1), way.take(rays, 1))
            blocked[rays[hits < length[rays] - 0.01]] = True
    return blocked


def _openness(scene: Scene, casters: Sequence[Primitive], surfaces: Surfaces) -> Floats:
    """How free the surroundings are, 0 to 1 (N,): probed at one point above each surface."""
    reach = f32(scene.light.reach)
    probe = surfaces.position + surfaces.normal * reach
    openness = np.ones(probe.shape[1], np.float32)
    for solid in casters:
        x, y, z = probe[0] - solid.centre[0], probe[1] - solid.centre[1], probe[2] - solid.centre[2]
        near = np.flatnonzero(x * x + y * y + z * z < (solid.radius + reach) ** 2)
        if near.size:
            free = np.clip(solid.distance(probe.take(near, 1)) / reach, 0, 1)
            openness[near] = np.minimum(openness[near], free)
    walls = scene.backdrop.openness(probe, reach)
    return openness if walls is None else np.minimum(openness, walls)
