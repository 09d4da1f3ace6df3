"""From a scene to a picture with its exact depth, normals, classes and joints."""

from dataclasses import dataclass

import numpy as np

from zeroconv.world.geometry.camera import NEAR_PLANE, Camera
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.surfaces import SKY
from zeroconv.world.geometry.vectors import Floats, Ints
from zeroconv.world.lighting import illuminate
from zeroconv.world.scenes import Scene
from zeroconv.world.things.backdrop import Landscape
from zeroconv.world.tracing import trace

SAMPLES = 2
"""Samples per pixel along each side; depth, normals and classes are those of a pixel's first sample."""
FACE = (0, 14, 15, 16, 17)
"""Joints that the head can hide; the others count as visible through the body, as annotators have it."""
HIDDEN_BEHIND = 0.12
"""A joint of the face is hidden by a surface that is this much nearer, metres."""


@dataclass(frozen=True, eq=False)
class Rendering:
    """A picture of W x H pixels and the truth about it.

    Attributes:
        rgb: (H, W, 3) uint8 sRGB.
        distance: (H, W) float32 depth along the viewing axis, metres; inf in the sky.
        normals: (H, W, 3) float32 unit vectors right, up, forward; 0 in the sky and on mountains.
        classes: (H, W) uint8, ADE20K.
        things: (H, W) int16, which of the scene's things is seen, in the order they were put up; -1 where none is.
        keypoints: (18, 3) float32 x and y in pixels and 1 or 0 for visible, (N, 18, 3) of several people, or None without a
            person.
        coverage: share of the picture per name of the scene's things.
    """

    rgb: Ints
    distance: Floats
    normals: Floats
    classes: Ints
    things: Ints
    keypoints: Floats | None
    coverage: dict[str, float]


def render(scene: Scene, size: int | tuple[int, int] = 128) -> Rendering:
    """The scene.

    Args:
        scene: what is seen.
        size: side of the picture, or its width and height, in pixels. The camera's field of view is across the shorter side.
    """
    columns, lines = (size, size) if isinstance(size, int) else size
    width, height = columns * SAMPLES, lines * SAMPLES
    rays = scene.camera.rays(width, height)
    surfaces, shares = trace(scene, rays, width, height)
    sample = (np.arange(height)[:, None] % SAMPLES * SAMPLES + np.arange(width) % SAMPLES).ravel()
    colour = np.zeros(rays.shape, np.float32)
    i = np.flatnonzero(surfaces.owner != SKY)
    lit = illuminate(scene, surfaces.take(i), rays.take(i, 1), sample[i])
    colour[:, i] = scene.backdrop.air(lit, surfaces.distance[i])
    if isinstance(scene.backdrop, Landscape):
        i = np.flatnonzero(surfaces.owner == SKY)
        colour[:, i], surfaces.label[i], surfaces.distance[i] = scene.backdrop.sky.look(rays[:, i])
    depth = scene.camera.depth(surfaces.distance, rays).reshape(height, width)
    first = np.s_[::SAMPLES, ::SAMPLES]
    classes = surfaces.label.reshape(height, width)[first]
    normals = scene.camera.normals(surfaces.normal).reshape(3, height, width)[:, *first]
    thing = np.repeat(np.arange(len(scene.stage.counts)), scene.stage.counts)
    things = np.append(thing, (-1, -1)).astype(np.int16)[surfaces.owner.reshape(height, width)[first]]
    coverage: dict[str, float] = {}
    for name, share in zip(scene.stage.names, shares.tolist(), strict=True):
        coverage[name] = coverage.get(name, 0) + share
    return Rendering(
        rgb=_develop(colour * np.float32(scene.light.exposure), columns, lines),
        distance=np.where(classes == Label.SKY, np.float32(np.inf), depth[first]),
        normals=np.ascontiguousarray(normals.transpose(1, 2, 0)),
        classes=np.ascontiguousarray(classes),
        things=things,
        keypoints=_keypoints(scene, depth),
        coverage=coverage,
    )


def tone(light: Floats) -> Floats:
    """The sRGB colours in [0, 1] of exposed linear light, any shape: ACES tone curve (after Krzysztof Narkowicz)."""
    toned = (light * (2.51 * light + 0.03)) / (light * (2.43 * light + 0.59) + 0.14)
    return np.clip(toned, 0, 1) ** np.float32(1 / 2.2)


def _develop(light: Floats, columns: int, lines: int) -> Ints:
    """8-bit sRGB (H, W, 3) of linear samples (3, N): the mean of their toned colours."""
    grid = tone(light).reshape(3, lines, SAMPLES, columns, SAMPLES)
    total = sum(grid[:, :, row, :, column] for row in range(SAMPLES) for column in range(SAMPLES))
    mean = np.asarray(total) * np.float32(1 / SAMPLES**2)
    return (mean.transpose(1, 2, 0) * 255 + 0.5).astype(np.uint8)


def _keypoints(scene: Scene, depth: Floats) -> Floats | None:
    """The scene's joints in pixels; None without a person."""
    if scene.joints is None:
        return None
    if scene.joints.ndim == 2:
        return _project_joints(scene.camera, scene.joints, depth)
    return np.stack([_project_joints(scene.camera, joints, depth) for joints in scene.joints])


def _project_joints(camera: Camera, joints: Floats, depth: Floats) -> Floats:
    """Joints (18, 3) in pixels, with what is outside the picture, behind the camera or behind the head marked invisible."""
    x, y, far = camera.project(joints)
    height, width = depth.shape
    size = min(width, height) // SAMPLES
    middle = np.float32(width / min(width, height)), np.float32(height / min(width, height))
    points = np.stack([(x + middle[0]) / 2 * size, (y + middle[1]) / 2 * size, np.ones(len(joints), np.float32)], 1)
    for index, point in enumerate(points):
        if far[index] < NEAR_PLANE:
            point[:] = 0
            continue
        column_, row = int(point[0] * SAMPLES), int(point[1] * SAMPLES)
        inside = 0 <= column_ < width and 0 <= row < height
        hidden = inside and index in FACE and far[index] > depth[row, column_] + HIDDEN_BEHIND
        point[2] = 1 if inside and not hidden else 0
    return points
