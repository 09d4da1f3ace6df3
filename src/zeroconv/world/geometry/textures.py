"""The ten textures.

A texture lives in the frame of its solid. The flat ones are laid on the side (u, v) that faces the
normal most; the solid ones read the point (x, y, z) itself.
"""

from collections.abc import Callable

import numpy as np

from zeroconv.world.geometry.materials import Material
from zeroconv.world.geometry.noise import noise
from zeroconv.world.geometry.vectors import Bools, Floats, Ints, column

f32 = np.float32
Flat = Callable[[Floats, Floats, Floats, Floats, np.float32], Floats]
"""(colour (3, 1), second (3, 1), u (N,), v (N,), frequency) -> (3, N)."""
Solid = Callable[[Floats, Floats, Floats, np.float32], Floats]
"""(colour (3, 1), second (3, 1), points (3, N), frequency) -> (3, N)."""


def albedo(material: Material, points: Floats, normals: Floats) -> Floats:
    """Colour (3, N), linear, at points (3, N) with normals (3, N), both in the solid's own frame."""
    colour, frequency = column(material.colour), f32(material.frequency)
    if material.texture is None:
        return np.broadcast_to(colour, points.shape)
    second = colour * f32(0.6) if material.second is None else column(material.second)
    if material.texture in SOLID:
        return SOLID[material.texture](colour, second, points, frequency)
    size = np.abs(normals)
    upward = size[1] > 0.7
    sideways = (size[0] > size[2]) & ~upward
    u = np.where(sideways, points[2], points[0])
    v = np.where(upward, points[2], points[1])
    return FLAT[material.texture](colour, second, u, v, frequency)


def _mix(colour: Floats, second: Floats, share: Floats | Ints | Bools) -> Floats:
    share = share.astype(np.float32)
    return colour * (1 - share) + second * share


def _odd(cells: Floats) -> Ints:
    return cells.astype(np.int32) & 1


def _hash(cells: Floats) -> Floats:
    """A number in [0, 1) that looks random, per cell."""
    h = np.sin(cells) * f32(43758.5)
    return h - np.floor(h)


def _checker(colour: Floats, second: Floats, u: Floats, v: Floats, k: np.float32) -> Floats:
    return _mix(colour, second, _odd(np.floor(u * k) + np.floor(v * k)))


def _stripes(colour: Floats, second: Floats, u: Floats, v: Floats, k: np.float32) -> Floats:
    return _mix(colour, second, _odd(np.floor(u * k)))


def _bands(colour: Floats, second: Floats, u: Floats, v: Floats, k: np.float32) -> Floats:
    return _mix(colour, second, _odd(np.floor(v * k)))


def _bricks(colour: Floats, second: Floats, u: Floats, v: Floats, k: np.float32) -> Floats:
    v = v * k * 2
    row = np.floor(v)
    u = u * k + 0.5 * _odd(row)
    brick = np.floor(u)
    shade = _hash(brick * 12.99 + row * 78.23) * f32(0.35) + f32(0.8)
    return _mix(colour * shade, second, (u - brick < 0.09) | (v - row < 0.16))


def _planks(colour: Floats, second: Floats, u: Floats, v: Floats, k: np.float32) -> Floats:
    rows = v * k
    row = np.floor(rows)
    plank = _hash(row * 78.23 + 3)
    grain = noise(u * f32(0.35) + plank * 7, v * f32(4.0)) - 0.5
    seam = (rows - row < 0.07).astype(np.float32)
    return colour * (f32(0.72) + f32(0.28) * plank + f32(0.35) * grain) * (1 - f32(0.55) * seam)


def _tiles(colour: Floats, second: Floats, u: Floats, v: Floats, k: np.float32) -> Floats:
    u, v = u * k, v * k
    return _mix(colour, second, (u - np.floor(u) < 0.05) | (v - np.floor(v) < 0.05))


def _mottle(colour: Floats, second: Floats, u: Floats, v: Floats, k: np.float32) -> Floats:
    return _mix(colour, second, noise(u * k, v * k))


def _leaves(colour: Floats, second: Floats, p: Floats, k: np.float32) -> Floats:
    g = noise(p[0] * k + p[1] * f32(0.7) * k, p[2] * k + p[1] * f32(0.9) * k)
    return colour * (f32(0.55) + f32(0.9) * g)


def _rings(colour: Floats, second: Floats, p: Floats, k: np.float32) -> Floats:
    return _mix(colour, second, _odd(np.floor(np.sqrt(p[0] ** 2 + p[2] ** 2) * k)))


def _beach_ball(colour: Floats, second: Floats, p: Floats, k: np.float32) -> Floats:
    wedge = np.floor((np.arctan2(p[2], p[0]) / np.pi + 1) * 3).astype(np.int32)
    return np.where(wedge % 2 == 0, colour, second)


FLAT: dict[str, Flat] = {
    "checker": _checker,
    "stripes": _stripes,
    "bands": _bands,
    "bricks": _bricks,
    "planks": _planks,
    "tiles": _tiles,
    "mottle": _mottle,
}
SOLID: dict[str, Solid] = {"leaves": _leaves, "rings": _rings, "beach ball": _beach_ball}
