"""Pieces of straight lines joined to whole lines, all at one time: segments as pairs of complex numbers, x + iy."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["join"]

Points = NDArray[np.complex128]
SAME_ANGLE = math.sin(math.radians(4))  # pieces of one line are turned by less, or by less than a pixel at one end
FRAGMENT = 3  # a line must have a piece of at least a third of the shortest line
SECTORS = 6  # of the half circle: only pieces of about one direction are compared
AXES: Points = np.exp(1j * np.pi / SECTORS * np.arange(SECTORS))[:, None]  # turn the middle of a sector to the right
WITHIN = math.sin(math.pi / SECTORS / 2)  # of a sector's middle
AT_ONCE = 2**22  # pairs of pieces; bounds the memory


def join(segments: np.ndarray, gap: float, beside: float, shortest: float) -> np.ndarray:
    """Pieces of one line joined, both sides of a thin stroke among them, and what stays short left out: (M, 4).

    From the longest segment on: every piece of about its direction that lies within `beside` of its line, and
    reaches it over gaps of at most `gap`, becomes part of it. The joint line is the least-squares line of its parts.

    Segments that do not ask for the same pieces do not depend on each other: their lines are made at one time.

    Args:
        segments: (N, 4).
        gap: in pixels.
        beside: in pixels.
        shortest: length of a line that is kept, in pixels.
    """
    ends = np.ascontiguousarray(segments, np.float64).view(np.complex128)  # (N, 2), x + iy
    lengths = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    seeds = (lengths >= shortest / FRAGMENT).nonzero()[0]  # the others are crumbs
    seeds = seeds[np.lexsort((*segments[seeds, 2:].T, -lengths[seeds].round(3)))]  # ties in one order on every machine
    least = math.sqrt(max(shortest**2 - (2 * beside) ** 2, 0))  # so far a line reaches along its seed
    free, first, joined = np.ones(len(ends), bool), np.zeros(len(ends), np.intp), [np.zeros((0, 2), np.complex128)]
    many = AT_ONCE // (len(ends) + 1) + 1
    for number in range(0, len(seeds), many):
        some = seeds[number : number + many]
        rows = Rows.of(ends, some[free[some]], beside, gap)
        while len((rows := rows.only(free[rows.pieces])).pieces):
            chain, starts = rows.chains(gap)
            own = np.logical_or.reduceat(rows.pieces == rows.seeds, starts)
            asking = own & (np.maximum.reduceat(rows.ends, starts) - rows.begins[starts] >= least)
            asked = asking[chain].nonzero()[0][::-1]
            first[rows.pieces[asked]] = rows.seeds[asked]  # the longest seed that asks for a piece
            settled = np.logical_and.reduceat(first[rows.pieces] == rows.seeds, starts)
            lines = fit(ends[rows.pieces], chain, starts)
            kept = asking & settled & (np.abs(lines[:, 1] - lines[:, 0]) >= shortest)
            joined.append(lines[kept])
            free[rows.pieces[kept[chain]]] = False
            rows = rows.only((asking & ~settled)[chain])
    return np.concatenate(joined).view(np.float64).astype(np.float32)


@dataclass
class Rows:
    """Pieces in rows: each row lies on the line of one of them, its seed.

    Attributes:
        seeds: index of the seed of each piece's row, (P,), in the order of the seeds.
        pieces: their own indices, (P,), in each row in the order in which they begin.
        begins: where each begins along the line of its seed, (P,), in pixels; one row lies far behind the other.
        ends: where each ends, (P,).
    """

    seeds: np.ndarray
    pieces: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, ends: Points, seeds: np.ndarray, beside: float, gap: float) -> Self:
        """The rows of some seeds, indices, among the pieces `ends`, (N, 2) complex."""
        step = ends[seeds, 1] - ends[seeds, 0]
        turn = step.conj() / np.maximum(np.abs(step), 1e-6)
        row, pieces = find_near(ends, ends[seeds, 0], turn, beside)
        origin, turn = ends[seeds, 0][row], turn[row]
        a, b = ((ends[pieces, end] - origin) * turn for end in (0, 1))  # along the seed + i beside it
        alike = np.abs(b.imag - a.imag) <= SAME_ANGLE * np.abs(b - a) + 1
        on = (alike & (np.maximum(np.abs(a.imag), np.abs(b.imag)) <= beside)).nonzero()[0]
        row, pieces, a, b = row[on], pieces[on], a.real[on], b.real[on]
        low, high = np.minimum(a, b), np.maximum(a, b)
        far = row * np.ceil(high.max(initial=0) - low.min(initial=0) + gap + 1)
        order = np.argsort(low + far)
        return cls(seeds[row][order], pieces[order], (low + far)[order], (high + far)[order])

    def only(self, which: np.ndarray) -> Self:
        """Some of the pieces."""
        return type(self)(self.seeds[which], self.pieces[which], self.begins[which], self.ends[which])

    def chains(self, gap: float) -> tuple[np.ndarray, np.ndarray]:
        """What hangs together over gaps of at most `gap`: the chain of each piece, (P,), and where each starts, (C,)."""
        new = self.begins > np.append(-np.inf, np.maximum.accumulate(self.ends)[:-1]) + gap
        return new.cumsum() - 1, new.nonzero()[0]


def find_near(ends: Points, start: Points, turn: Points, beside: float) -> tuple[np.ndarray, np.ndarray]:
    """Which pieces may lie on the line of which seed, as two lists of indices: all that do are among them.

    Args:
        ends: of the pieces, (N, 2) complex.
        start: of the seeds, (S,) complex.
        turn: by which a seed's direction becomes 1, (S,) complex.
        beside: how far the middle of a piece may lie from the line, in pixels.
    """
    middle, step = (ends[:, 0] + ends[:, 1]) / 2, ends[:, 1] - ends[:, 0]
    lines = np.array([turn.imag, turn.real, -(start * turn).imag], np.float32).T
    points = np.array([middle.real, middle.imag, np.ones(len(middle))], np.float32)
    beside += 1e-6 * float(np.abs(points).max(initial=0))  # of single precision
    alike = np.abs((step * AXES).imag) <= (SAME_ANGLE + WITHIN) * np.abs(step) + 1  # (SECTORS, N)
    sector = np.abs((turn / AXES).real).argmax(axis=0)
    rows: list[np.ndarray] = []
    pieces: list[np.ndarray] = []
    for number in range(SECTORS):
        ours, theirs = (sector == number).nonzero()[0], alike[number].nonzero()[0]
        off = lines[ours] @ points[:, theirs]
        row, piece = np.divmod((np.abs(off, out=off) <= beside).ravel().nonzero()[0], len(theirs))
        rows.append(ours[row])
        pieces.append(theirs[piece])
    return np.concatenate(rows), np.concatenate(pieces)


def fit(ends: Points, group: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The least-squares line through the segments of each group, as long as they reach: (G, 2) complex.

    The square of a complex number has twice its angle, so the root of the mean square of a group's points, seen from
    their centre, has the direction of the line. From a to b the mean of z² is (a² + a b + b²) / 3.

    Args:
        ends: (P, 2) complex, group after group.
        group: of each segment, (P,).
        starts: where each group starts, (G,).
    """
    a, b = ends.T
    weight = np.abs(b - a) + 1e-6
    centre = np.add.reduceat(weight * (a + b), starts) / (2 * np.add.reduceat(weight, starts))
    a, b = a - centre[group], b - centre[group]
    direction = np.sqrt(np.add.reduceat(weight * (a * a + a * b + b * b), starts))
    direction /= np.maximum(np.abs(direction), 1e-9)
    turn = direction.conj()[group]
    a, b = (a * turn).real, (b * turn).real
    low, high = np.minimum.reduceat(np.minimum(a, b), starts), np.maximum.reduceat(np.maximum(a, b), starts)
    return np.stack([centre + low * direction, centre + high * direction], axis=1)
