"""Straight lines by a line segment detector, pieces joined: white one-pixel lines on black (section 4); fidelity is line F1."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import GREY, Condition, Contract
from zeroconv.conditions.map_checks import check_sizes, check_thin_lines
from zeroconv.conditions.raster.morphology import read_strokes, to_map
from zeroconv.conditions.raster.resizing import THIN_LINES
from zeroconv.conditions.raster.segment_joining import join
from zeroconv.errors import InputError
from zeroconv.images import as_rgb
from zeroconv.messages import Message
from zeroconv.metrics.edges import line_f_score

__all__ = ["LINES", "detect_segments", "draw_segments", "line_f1", "lines", "random_lines"]

SCALE = 0.8  # OpenCV's detector looks at a picture of this scale
SHIFT = (1 / SCALE - 1) / 2  # ... and forgets the half pixels: (x + 1/2) / 0.8 - 1/2 = x / 0.8 + 1/8
SAME_LINE = 1 / 170  # of the longer side, at least 3 pixels: as far as a piece may lie beside the line, each way
ALONG = np.linspace(0.1, 0.9, 9, dtype=np.float32)[:, None]  # where the contrast of a segment is measured
WIDEST = 30000  # segments beside each other; OpenCV's remap takes at most 32767
FRACTION = 4  # binary digits behind the point when lines are drawn


def lines(image: Image.Image, min_length: float = 0.06, max_gap: float = 0.015, threshold: float = 12) -> Image.Image:
    """Straight lines of a picture: RGB, 255 on a line and 0 elsewhere, of the same size.

    Args:
        image: any picture.
        min_length: of the shortest line, as a share of the longer side, 0 … 1 (0.06 is 31 pixels of 512).
        max_gap: between two pieces that are joined to one line, as a share of the longer side, 0 … 1.
        threshold: how much brightness changes across a line at least, in grey levels 0 … 255.

    Raises:
        InputError: for a parameter out of its range.
    """
    for name, value, most in (("min_length", min_length, 1), ("max_gap", max_gap, 1), ("threshold", threshold, 255)):
        if not 0 <= value <= most:
            raise InputError(f"lines' {name} is {value:g}; expected 0 to {most}", field=name)
    longer = max(image.size)
    found = detect_segments(image, threshold)
    joined = join(found, max_gap * longer, max(SAME_LINE * longer, 3.0), min_length * longer)
    return draw_segments(joined, image.size)


def detect_segments(image: Image.Image, threshold: float = 0) -> np.ndarray:
    """Segments of the line segment detector (R. Grompone von Gioi et al., "LSD", 2012), as OpenCV has it: (N, 4).

    Args:
        image: any picture.
        threshold: the least change of brightness across a segment, in grey levels.

    Returns:
        x0, y0, x1, y1 in pixels, float32; (0, 0) is the centre of the first pixel.
    """
    import cv2

    grey = np.asarray(as_rgb(image).convert("L"))
    found: np.ndarray | None = cast(Any, cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD, SCALE)).detect(grey)[0]
    if found is None:
        return np.zeros((0, 4), np.float32)
    segments = np.asarray(found, np.float32).reshape(-1, 4) + np.float32(SHIFT)  # OpenCV 4 has one more axis
    return segments[contrast(grey, segments) >= threshold]


def contrast(grey: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The change of brightness across each segment, the mean over nine places: (N,).

    Args:
        grey: (H, W) uint8.
        segments: (N, 4) float32.
    """
    import cv2

    light, found = grey.astype(np.float32), [np.zeros(0, np.float32)]
    for first in range(0, len(segments), WIDEST):
        start, end = segments[first : first + WIDEST].view(np.complex64).T  # x + iy
        step = end - start
        across = 1.5j * step / np.maximum(np.abs(step), 1e-6)
        places = start * (1 - ALONG) + end * ALONG  # (9, N)
        both = np.concatenate([places + across, places - across]).view(np.float32).reshape(18, -1, 2)
        light_there = cv2.remap(light, both, cast(Any, None), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        one, other = light_there.reshape(2, 9, -1)
        found.append(np.abs((one - other).sum(axis=0)) / len(ALONG))
    return np.concatenate(found)


def draw_segments(segments: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """White one-pixel lines on black, RGB.

    Args:
        segments: (N, 4), x0, y0, x1, y1 in pixels.
        size: width and height of the map.
    """
    import cv2

    canvas = np.zeros((size[1], size[0]), np.uint8)
    ends = (segments * 2**FRACTION).round().astype(np.int32).reshape(-1, 2, 2)
    cv2.polylines(canvas, cast(Any, ends), False, 255, 1, cv2.LINE_8, FRACTION)
    return to_map(canvas)


def random_lines(generator: np.random.Generator) -> Mapping[str, float]:
    """Parameters for one training sample: lines from 2 to 15 % of the longer side, gaps to 3 %, contrast 5 … 30."""
    return {
        "min_length": float(generator.uniform(0.02, 0.15)),
        "max_gap": float(generator.uniform(0, 0.03)),
        "threshold": float(generator.uniform(5, 30)),
    }


def line_f1(image: Image.Image, condition: Image.Image, tolerance: int = 2) -> float:
    """How well the straight lines of a picture meet those of a map: F1 in [0, 1].

    The picture's lines are those of `lines` with its defaults; lines match where they are near and have one direction, see
    `zeroconv.metrics.edges.line_f_score`. Two empty maps agree: 1.

    Args:
        image: the generated picture.
        condition: the map it was given, white lines on black, of the same size.
        tolerance: in pixels, 0 or more.

    Raises:
        ValueError: when sizes differ.
    """
    check_sizes(image, condition)
    return line_f_score(read_strokes(lines(image)), read_strokes(condition), tolerance)


def check(condition: Image.Image) -> list[Message]:
    """Warnings for a map of straight lines: as for thin ones, and, from 48 px on, strokes that are not straight."""
    found = check_thin_lines(condition)
    if found or min(condition.size) < 48:
        return found
    straight = outline_fraction(read_strokes(condition))
    if straight < 0.78:
        said = f"{1 - straight:.0%} of this map's lines are not straight: a map of canny? Expected straight lines"
        return [Message(said, "map.other")]
    return []


def outline_fraction(strokes: np.ndarray) -> float:
    """The share of the outline of thin strokes, (H, W) bool, in straight pieces of 3 % of the side and 5 pixels at least.

    The outline is simplified within 3/4 of a pixel (D. Douglas and T. Peucker, 1973), which is as far as the pixels of a
    drawn line lie beside it. Traced edges have short pieces; a wide, smooth curve is a row of straight ones.
    """
    import cv2

    least, whole, straight = max(5.0, 0.03 * min(strokes.shape)), 0.0, 0.0
    outlines, _ = cv2.findContours(np.pad(strokes, 1).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        corners = cv2.approxPolyDP(outline, 0.75, True).reshape(-1, 2)
        lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
        whole += float(lengths.sum())
        straight += float(lengths[lengths >= least].sum())
    return straight / whole if whole else 1.0


LINES = Condition(
    name="lines",
    order=4,
    aliases=("mlsd",),
    summary="straight lines",
    contract=Contract(
        summary="RGB map of the picture's size: white (255) straight one-pixel lines on black (0).",
        values="0 or 255",
        polarity="white lines on black",
        channels=GREY,
        suits=(
            "lllyasviel/control_v11p_sd15_mlsd", "lllyasviel/sd-controlnet-mlsd",
        ),
    ),
    extract=lines,
    score=line_f1,
    metric="line F1",
    draw_parameters=random_lines,
    check=check,
    resizing=THIN_LINES,
)  # fmt: skip
