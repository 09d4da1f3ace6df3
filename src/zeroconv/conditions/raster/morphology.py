"""Strokes on black: thinned to centre lines, drawn with a round pen, freed of specks, compared with a tolerance."""

from functools import cache

import numpy as np
from PIL import Image

__all__ = ["apply_hysteresis", "brightest", "dilate", "prune", "read_strokes", "remove_specks", "thin", "to_map"]

FEW = 0.01  # of the picture: when no more pixels change at once, only they and their neighbours are looked at


def to_map(strokes: np.ndarray) -> Image.Image:
    """A map from strokes: (H, W) bool, or uint8 grey levels, to RGB."""
    grey = Image.fromarray(strokes.astype(np.uint8) * 255 if strokes.dtype == bool else strokes)
    return Image.merge("RGB", (grey, grey, grey))


def brightest(rgb: np.ndarray) -> np.ndarray:
    """The greatest channel of each pixel, (H, W, 3) to (H, W): numpy takes tens of times as long for `max(axis=2)`."""
    return np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])


def read_strokes(condition: Image.Image) -> np.ndarray:
    """The strokes of a map, of whatever colour: (H, W) bool."""
    return brightest(np.asarray(condition.convert("RGB"))) > 127


def thin(strokes: np.ndarray) -> np.ndarray:
    """Centre lines one pixel wide that are connected as the strokes were (T. Y. Zhang and C. Y. Suen, 1984).

    A pixel goes when it lies on a south-east border (first half-step; north-west in the second), is neither an end
    (fewer than two neighbours) nor inside (more than six), and its neighbours are in one piece. What is one pixel wide
    already stays as it is. Elsewhere lines may lie one pixel off centre, so flips commute to within one pixel.

    A square of four pixels vanishes by the published rule; here the pixel at its top left is kept, and with it every
    piece and every hole of the strokes.

    Args:
        strokes: (H, W) bool.
    """
    import cv2

    lines = np.pad(strokes, 1).astype(np.uint8)
    gone = lines
    while np.count_nonzero(gone) > FEW * gone.size:
        before = lines
        for half in deletable_neighbourhoods():
            lines = lines & ~look_up(half, lines)
        gone = before ^ lines
    beside: np.ndarray = cv2.dilate(gone, np.ones((3, 3), np.uint8))
    peel(lines.reshape(-1), np.flatnonzero(beside & lines), lines.shape[1])
    return lines[1:-1, 1:-1] > 0


def peel(lines: np.ndarray, candidates: np.ndarray, row: int) -> None:
    """Thin to the end, in place, looking only where a neighbour went: a broad area loses thousands of thin layers.

    Args:
        lines: the rows of a picture one after the other, 0 and 1, its border 0.
        candidates: indices of the pixels to begin with, each of them 1.
        row: pixels of a row.
    """
    around = np.array([-row, 1 - row, 1, row + 1, row, row - 1, -1, -row - 1])  # as in `neighbour_bits`
    while len(candidates):
        touched: list[np.ndarray] = []
        for half in deletable_neighbourhoods():
            bits = np.zeros(len(candidates), np.uint8)
            for place, step in enumerate(around):
                bits |= lines[candidates + step] << place
            gone = candidates[half[bits] > 0]
            lines[gone] = 0
            touched.append((gone[:, None] + around).ravel())
            candidates = np.concatenate([candidates, touched[-1]])
            candidates = np.unique(candidates[lines[candidates] > 0])
        candidates = np.concatenate(touched)
        candidates = np.unique(candidates[lines[candidates] > 0])


def neighbour_bits(lines: np.ndarray) -> np.ndarray:
    """Which of its eight neighbours each pixel has, (H, W) uint8: bit 0 is north, then clockwise; lines: (H, W) of 0 and 1."""
    import cv2

    kernel = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)
    return cv2.filter2D(lines, -1, kernel, borderType=cv2.BORDER_CONSTANT).astype(np.uint8)


def look_up(table: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """What a table (256,) says of each pixel's neighbours: (H, W) uint8; lines: (H, W) of 0 and 1."""
    import cv2

    found: np.ndarray = cv2.LUT(neighbour_bits(lines), table)
    return found


@cache
def neighbourhoods() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each of the 256 neighbourhoods: its bits (256, 8), N first; how many are set; in how many pieces."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    return bits, bits.sum(axis=1), ((bits == 0) & (np.roll(bits, -1, axis=1) == 1)).sum(axis=1)


@cache
def deletable_neighbourhoods() -> tuple[np.ndarray, np.ndarray]:
    """For each half-step of thinning: whether a pixel with these neighbours goes, (256,) uint8."""
    bits, count, pieces = neighbourhoods()
    n, e, s, w = bits[:, 0], bits[:, 2], bits[:, 4], bits[:, 6]
    border = (count >= 2) & (count <= 6) & (pieces == 1)
    south_east, north_west = border & (n * e * s == 0) & (e * s * w == 0), border & (n * e * w == 0) & (n * s * w == 0)
    square = 0b00011100  # E, SE, S alone: the top left of a square of four
    north_west[square] = south_east[square] = False
    return south_east.astype(np.uint8), north_west.astype(np.uint8)


@cache
def end_neighbourhoods() -> np.ndarray:
    """Whether a pixel with these neighbours ends a line: they are one, two in one piece, or three beside it in a row."""
    bits, count, pieces = neighbourhoods()
    foot = (count == 3) & (bits[:, ::2].sum(axis=1) == 1)  # the last pixel of a branch, on the line it leaves
    return ((count == 0) | (pieces == 1) & ((count <= 2) | foot)).astype(np.uint8)


def prune(lines: np.ndarray, length: int) -> np.ndarray:
    """Centre lines without whiskers: branches of up to `length` pixels, and lines of up to twice that.

    Every end is worn away `length` times; what still has an end then grows back along the line it came from, and with
    it a whisker that is nearer than `length` to that end.

    Args:
        lines: (H, W) bool, one pixel wide.
        length: in pixels.
    """
    import cv2

    is_end = end_neighbourhoods()
    whole = lines.astype(np.uint8)
    worn = whole
    for _ in range(length):
        worn = worn & ~look_up(is_end, worn)
    growing = worn & look_up(is_end, worn)
    for _ in range(length):
        wider: np.ndarray = cv2.dilate(growing, np.ones((3, 3), np.uint8))
        growing = (wider & whole & ~worn) | growing
    return (worn | growing) > 0


def dilate(lines: np.ndarray, width: int) -> np.ndarray:
    """Centre lines drawn with a round pen.

    Args:
        lines: (H, W) bool, one pixel wide.
        width: of the pen in pixels; an even one reaches half a pixel further to the right and down.
    """
    import cv2

    place = np.arange(width) - (width - 1) / 2
    pen = (place[:, None] ** 2 + place**2 <= (width / 2) ** 2).astype(np.uint8)  # at width 2 a square of four
    return cv2.dilate(lines.astype(np.uint8), pen[::-1, ::-1], anchor=(width // 2, width // 2)) > 0


def remove_specks(strokes: np.ndarray, size: float) -> np.ndarray:
    """Strokes without the connected pieces (8 neighbours) that neither reach `size` pixels in width nor in height."""
    import cv2

    _, labels, boxes, _ = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)
    large = np.maximum(boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT]) >= size
    large[0] = False  # the background
    return large[labels.astype(np.intp)]


def apply_hysteresis(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Hysteresis as in Canny (1986): what reaches `low` and is connected to something that reaches `high`.

    Args:
        values: (H, W).
        low: at which a stroke ends.
        high: at which it begins.
    """
    import cv2

    weak = values >= low
    count, labels = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    places = labels.astype(np.intp)
    strong = np.zeros(count, bool)
    strong[places[weak & (values >= high)]] = True
    return strong[places]
