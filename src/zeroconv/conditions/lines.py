"""Straight lines by a line segment detector, pieces joined: white one-pixel lines on black (section 4); fidelity is line F1."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import radians
from typing import Any, Self, cast

import numpy as np
from PIL import Image

from zeroconv.conditions.contract import Condition, check_lines, check_sizes
from zeroconv.conditions.strokes import as_map, strokes_of

__all__ = ["LINES", "draw_segments", "line_f1", "lines", "random_lines", "segments_of"]

SCALE = 0.8  # OpenCV's detector looks at a picture of this scale
SHIFT = (1 / SCALE - 1) / 2  # ... and forgets the half pixels: (x + 1/2) / 0.8 - 1/2 = x / 0.8 + 1/8
SAME_ANGLE = radians(4)  # pieces of one line differ by less
SAME_LINE = 1 / 170  # of the longer side, at least 3 pixels: as far as a piece may lie beside the line, each way
FRAGMENT = 3  # a line must have a piece of at least a third of the shortest line
ANGLE_TOLERANCE = radians(15)
FRACTION = 4  # binary digits behind the point when lines are drawn


def lines(image: Image.Image, min_length: float = 0.06, max_gap: float = 0.015, threshold: float = 12) -> Image.Image:
    """Straight lines of a picture: RGB, 255 on a line and 0 elsewhere, of the same size.

    Args:
        image: any picture.
        min_length: of the shortest line, as a share of the longer side, 0 … 1 (0.06 is 31 pixels of 512).
        max_gap: between two pieces that are joined to one line, as a share of the longer side, 0 … 1.
        threshold: how much brightness changes across a line at least, in grey levels 0 … 255.

    Raises:
        ValueError: for a parameter out of its range.
    """
    for name, value, most in (("min_length", min_length, 1), ("max_gap", max_gap, 1), ("threshold", threshold, 255)):
        if not 0 <= value <= most:
            raise ValueError(f"lines' {name} is {value:g}; expected 0 to {most}")
    longer = max(image.size)
    found = segments_of(image, threshold)
    joined = join(found, max_gap * longer, max(SAME_LINE * longer, 3.0), min_length * longer)
    return draw_segments(joined, image.size)


def segments_of(image: Image.Image, threshold: float = 0) -> np.ndarray:
    """Segments of the line segment detector (R. Grompone von Gioi et al., "LSD", 2012), as OpenCV has it: (N, 4).

    Args:
        image: any picture.
        threshold: the least change of brightness across a segment, in grey levels.

    Returns:
        x0, y0, x1, y1 in pixels, float32; (0, 0) is the centre of the first pixel.
    """
    import cv2

    grey = np.asarray(image.convert("RGB").convert("L"))
    found: np.ndarray | None = cast(Any, cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD, SCALE)).detect(grey)[0]
    if found is None:
        return np.zeros((0, 4), np.float32)
    segments = np.asarray(found, np.float32).reshape(-1, 4) + np.float32(SHIFT)  # OpenCV 4 has one more axis
    return segments[contrast(grey, segments) >= threshold]


def contrast(grey: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The change of brightness across each segment, the mean over nine places: (N,).

    Args:
        grey: (H, W) uint8.
        segments: (N, 4).
    """
    import cv2

    start, end = segments[:, None, :2], segments[:, None, 2:]
    along = np.linspace(0.1, 0.9, 9, dtype=np.float32)[:, None]
    places = start * (1 - along) + end * along  # (N, 9, 2)
    direction = (end - start) / np.maximum(np.linalg.norm(end - start, axis=2, keepdims=True), 1e-6)
    across = direction[..., ::-1] * np.array([-1.5, 1.5], np.float32)

    def sample(at: np.ndarray) -> np.ndarray:
        parts = np.array_split(at, len(at) // 30000 + 1)  # remap takes at most 32767 rows
        light, border = grey.astype(np.float32), cv2.BORDER_REPLICATE
        return np.concatenate([cv2.remap(light, p[..., 0], p[..., 1], cv2.INTER_LINEAR, borderMode=border) for p in parts])

    if not len(segments):
        return np.zeros(0, np.float32)
    return np.abs((sample(places + across) - sample(places - across)).mean(axis=1))


def join(segments: np.ndarray, gap: float, beside: float, shortest: float) -> np.ndarray:
    """Pieces of one line joined, both sides of a thin stroke among them, and what stays short left out: (M, 4).

    From the longest segment on: every piece of about its direction that lies within `beside` of its line, and
    reaches it over gaps of at most `gap`, becomes part of it. The joint line is the least-squares line of its parts.

    Args:
        segments: (N, 4).
        gap: in pixels.
        beside: in pixels.
        shortest: length of a line that is kept, in pixels.
    """
    pieces = Pieces.of(segments)
    free = np.ones(len(segments), bool)
    joined: list[np.ndarray] = []
    for index, length in enumerate(pieces.lengths.tolist()):
        if length < shortest / FRAGMENT:
            break  # only crumbs are left
        if not free[index]:
            continue
        members = pieces.reached(index, pieces.collinear(index, free, beside), gap)
        line = pieces.fit(members)
        if np.hypot(*(line[2:] - line[:2])) >= shortest:
            free[members] = False
            joined.append(line)
    return np.array(joined, np.float32).reshape(-1, 4)


@dataclass
class Pieces:
    """Segments on their way to become lines.

    Attributes:
        segments: (N, 4), the longest first.
        x: of both ends, (2, N).
        y: of both ends, (2, N).
        lengths: (N,), in pixels.
    """

    segments: np.ndarray
    x: np.ndarray
    y: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, segments: np.ndarray) -> Self:
        """Segments (N, 4), sorted."""
        lengths = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
        order = np.lexsort((*segments.T, -lengths.round(3)))  # ties in one order on every machine
        segments = segments[order].astype(np.float64)
        return cls(segments, segments[:, 0::2].T.copy(), segments[:, 1::2].T.copy(), lengths[order].astype(np.float64))

    def frame(self, index: int) -> tuple[float, float, float, float]:
        """Where a segment begins, and its direction as a unit vector: x, y, dx, dy."""
        x0, y0, x1, y1 = self.segments[index].tolist()
        length = max(float(self.lengths[index]), 1e-6)
        return x0, y0, (x1 - x0) / length, (y1 - y0) / length

    def collinear(self, index: int, free: np.ndarray, beside: float) -> np.ndarray:
        """The free segments that lie on the line of segment `index`, as indices."""
        x0, y0, dx, dy = self.frame(index)
        off = (self.y - y0) * dx - (self.x - x0) * dy  # (2, N), signed distance of each end
        near = np.flatnonzero((np.abs(off) <= beside).all(axis=0) & free)
        turned = np.abs(off[1, near] - off[0, near]) <= np.sin(SAME_ANGLE) * self.lengths[near] + 1
        return near[turned]

    def reached(self, index: int, members: np.ndarray, gap: float) -> np.ndarray:
        """Those of `members` that hang together with segment `index` over gaps of at most `gap`."""
        if len(members) == 1:
            return members
        x0, y0, dx, dy = self.frame(index)
        spans = np.sort((self.x[:, members] - x0) * dx + (self.y[:, members] - y0) * dy, axis=0)  # (2, M)
        order = np.argsort(spans[0], kind="stable")
        ends = np.maximum.accumulate(spans[1, order])
        group = np.concatenate([[0], np.cumsum(spans[0, order[1:]] > ends[:-1] + gap)])
        mine = group[np.flatnonzero(members[order] == index)[0]]
        return members[order[group == mine]]

    def fit(self, members: np.ndarray) -> np.ndarray:
        """The least-squares line through segments, as long as they reach: (4,)."""
        if len(members) == 1:
            return self.segments[members[0]]
        ends = self.segments[members].reshape(-1, 2, 2)
        weight = self.lengths[members][:, None] + 1e-6
        middle = ends.mean(axis=1)
        centre = (middle * weight).sum(axis=0) / weight.sum()
        steps = ends[:, 1] - ends[:, 0]
        apart = middle - centre
        spread = (apart * weight).T @ apart + (steps * weight).T @ steps / 12  # second moments of uniform segments
        direction = np.linalg.eigh(spread)[1][:, 1]
        along = (ends - centre) @ direction
        return np.concatenate([centre + along.min() * direction, centre + along.max() * direction])


def draw_segments(segments: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """White one-pixel lines on black, RGB.

    Args:
        segments: (N, 4), x0, y0, x1, y1 in pixels.
        size: width and height of the map.
    """
    import cv2

    canvas = np.zeros((size[1], size[0]), np.uint8)
    for x0, y0, x1, y1 in (segments * 2**FRACTION).round().astype(int).tolist():
        cv2.line(canvas, (x0, y0), (x1, y1), 255, 1, cv2.LINE_8, FRACTION)
    return as_map(canvas)


def random_lines(generator: np.random.Generator) -> Mapping[str, float]:
    """Parameters for one training visit: lines from 2 to 15 % of the longer side, gaps to 3 %, contrast 5 … 30."""
    return {
        "min_length": float(generator.uniform(0.02, 0.15)),
        "max_gap": float(generator.uniform(0, 0.03)),
        "threshold": float(generator.uniform(5, 30)),
    }


def line_f1(image: Image.Image, condition: Image.Image, tolerance: int = 2) -> float:
    """How well the straight lines of a picture meet those of a map: F1 in [0, 1].

    The picture's lines are those of `lines` with its defaults. A pixel of a line is met when a pixel of the other
    map lies within `tolerance` pixels and its line has the same direction, within 15 degrees; where lines cross or
    end, a pixel has no direction and meets any. Precision is the share of the picture's line pixels that are met,
    recall the share of the map's. Two empty maps agree: 1.

    Args:
        image: the generated picture.
        condition: the map it was given, white lines on black, of the same size.
        tolerance: in pixels, 0 or more.

    Raises:
        ValueError: when sizes differ.
    """
    check_sizes(image, condition)
    found, wanted = strokes_of(lines(image)), strokes_of(condition)
    if not found.any() and not wanted.any():
        return 1.0
    mine, theirs = direction_field(found), direction_field(wanted)
    precision = share_met(found, wanted, (mine, theirs), tolerance)
    recall = share_met(wanted, found, (theirs, mine), tolerance)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def direction_field(strokes: np.ndarray) -> np.ndarray:
    """The direction of each line pixel by the structure tensor (J. Bigun, G. H. Granlund, 1987): (H, W) complex64.

    Its argument is twice the angle, its modulus the coherence: 1 on one straight line, 0 where two cross.
    """
    import cv2

    soft = cv2.GaussianBlur(strokes.astype(np.float32), (0, 0), 1)
    dx, dy = (cv2.Sobel(soft, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.GaussianBlur(product, (0, 0), 2.5) for product in (dx * dx, dy * dy, dx * dy))
    return (xx - yy + 2j * xy) / np.maximum(xx + yy, 1e-9)


def share_met(mine: np.ndarray, other: np.ndarray, directions: tuple[np.ndarray, np.ndarray], tolerance: int) -> float:
    """The share of line pixels met by those of the other map; `directions` of both; 0 when there are none."""
    rows, columns = np.nonzero(mine)
    if not len(rows):
        return 0.0
    padded = [np.pad(field, tolerance) for field in (other, directions[1])]
    here, met = directions[0][rows, columns], np.zeros(len(rows), bool)
    for dy in range(2 * tolerance + 1):
        for dx in range(2 * tolerance + 1):
            there = padded[1][rows + dy, columns + dx]
            sure = np.minimum(np.abs(here), np.abs(there)) > 0.5
            turned = np.abs(np.angle(here * there.conj())) / 2 > ANGLE_TOLERANCE
            met |= padded[0][rows + dy, columns + dx] & ~(sure & turned)
    return float(met.mean())


LINES = Condition(
    "lines",
    "straight lines",
    "RGB map of the picture's size: white (255) straight one-pixel lines on black (0).",
    lines,
    line_f1,
    "line F1",
    random_lines,
    check_lines,
)
