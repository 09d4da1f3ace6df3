"""Smooth value noise from one fixed lattice, the same in every picture."""

from functools import cache

import numpy as np

from zeroconv.world.geometry.vectors import Floats

SIZE = 256
"""Side of the lattice; 8 units of noise space are one period."""
LATTICE_SEED = 7
OCTAVES = (8, 16, 32, 64, 128)
FADE = 0.55
"""Amplitude of an octave relative to the coarser one before it."""


@cache
def lattice() -> Floats:
    """(SIZE * SIZE,) float32 in [0, 1]: octaves of noise, half of the way to a flat histogram."""
    draw = np.random.RandomState(LATTICE_SEED)
    out, amplitude = np.zeros((SIZE, SIZE), np.float32), 1.0
    for cells in OCTAVES:
        grid = draw.rand(cells, cells).astype(np.float32)
        position = np.arange(SIZE) * cells / SIZE
        i = position.astype(int)
        f = position - i
        f = f * f * (3 - 2 * f)
        rows = grid[i] * (1 - f)[:, None] + grid[(i + 1) % cells] * f[:, None]
        out += amplitude * (rows[:, i] * (1 - f)[None] + rows[:, (i + 1) % cells] * f[None])
        amplitude *= FADE
    out -= out.min()
    out /= out.max()
    rank = out.ravel().argsort().argsort() / (SIZE * SIZE)
    return (0.5 * out.ravel() + 0.5 * rank).astype(np.float32)


def noise(u: Floats, v: Floats) -> Floats:
    """Bilinear noise (N,) in [0, 1] at coordinates (N,), periodic with period 8 in both."""
    cell = np.float32(SIZE / 8)
    u, v = u * cell, v * cell
    low_u, low_v = np.floor(u), np.floor(v)
    fu, fv = u - low_u, v - low_v
    i, j = low_u.astype(np.int32) & (SIZE - 1), low_v.astype(np.int32) & (SIZE - 1)
    next_i, next_j = ((i + 1) & (SIZE - 1)) * SIZE, (j + 1) & (SIZE - 1)
    i *= SIZE
    values = lattice()
    near = values[i + j] * (1 - fu) + values[next_i + j] * fu
    far = values[i + next_j] * (1 - fu) + values[next_i + next_j] * fu
    return near * (1 - fv) + far * fv
