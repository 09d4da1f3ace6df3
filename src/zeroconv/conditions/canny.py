"""Canny edges (J. Canny, 1986): white one-pixel lines on black; fidelity is the F1 of edges with 1-px tolerance."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import GREY, Condition, Contract
from zeroconv.conditions.map_checks import check_sizes, check_thin_lines
from zeroconv.conditions.raster.morphology import brightest, to_map
from zeroconv.conditions.raster.resizing import THIN_LINES
from zeroconv.errors import InputError
from zeroconv.images import as_rgb
from zeroconv.metrics.edges import f_score

__all__ = ["CANNY", "canny", "edge_f1", "random_thresholds"]

STRONGEST = 2040  # |dx| + |dy| of 3x3 Sobel filters on 8 bits: 1020 each
STRIP = 128  # rows that stay in a processor's cache


def canny(image: Image.Image, low: float = 100, high: float = 200) -> Image.Image:
    """Edges of a picture: RGB, 255 on an edge and 0 elsewhere, of the same size.

    Args:
        image: any picture.
        low: gradient at which an edge ends; 100 is the field's default.
        high: gradient at which an edge begins, from `low` to 2040.

    Raises:
        InputError: unless 0 <= low <= high <= 2040.
    """
    if not 0 <= low <= high <= STRONGEST:
        raise InputError(
            f"canny thresholds are {low:g} and {high:g}; expected 0 <= low <= high <= 2040 (100 and 200 are usual)",
            field="low" if 0 <= high <= STRONGEST else "high",
        )
    return to_map(colour_edges(np.asarray(as_rgb(image)), low, high))


def colour_edges(rgb: np.ndarray, low: float, high: float) -> np.ndarray:
    """What OpenCV's Canny finds in a picture of three channels, in about half its time: (H, W) uint8, 0 or 255.

    The slopes are, as there, those of the channel in which `|dx| + |dy|` is largest, and of equal ones the first.

    Args:
        rgb: (H, W, 3) uint8.
        low: gradient at which an edge ends.
        high: gradient at which an edge begins.
    """
    import cv2

    slopes = np.empty((2, *rgb.shape[:2]), np.int16)
    for top in range(0, len(rgb), STRIP):
        above = min(top, 1)  # a row that a filter of 3 x 3 looks at
        dx, dy = slopes[:, top : top + STRIP]
        steepest = np.full_like(dx, -1)
        for channel in cv2.split(rgb[top - above : top + STRIP + 1]):
            both = cv2.spatialGradient(channel, ksize=3, borderType=cv2.BORDER_REPLICATE)
            x, y = (slope[above : above + STRIP] for slope in both)
            steep = np.abs(x) + np.abs(y)
            more = cv2.compare(steep, steepest, cv2.CMP_GT)
            for new, old in ((x, dx), (y, dy), (steep, steepest)):
                cv2.copyTo(new, more, old)
    return cv2.Canny(slopes[0], slopes[1], low, high)


def random_thresholds(
    generator: np.random.Generator, low: float | None = None, high: float | None = None
) -> Mapping[str, float]:
    """Thresholds for one training sample: the paper trains with random ones so that sparse and dense maps both work.

    High is drawn from 100 … 300 and low is 30 … 70 % of it; one that is given stays, and high is never below low.
    """
    drawn, share = float(generator.uniform(100, 300)), float(generator.uniform(0.3, 0.7))
    top = max(drawn, low or 0) if high is None else high
    return {"low": top * share if low is None else low, "high": top}


def edge_f1(image: Image.Image, condition: Image.Image, tolerance: int = 1) -> float:
    """How well the edges of a picture meet those of a map: F1 in [0, 1].

    The picture's edges are extracted with the defaults of `canny`. Precision is the share of them that lie within
    `tolerance` pixels of an edge of the map, recall the share of the map's edges met. Two empty maps agree: 1.

    Args:
        image: the generated picture.
        condition: the map it was given, white lines on black, of the same size.
        tolerance: in pixels, each way.

    Raises:
        ValueError: when sizes differ.
    """
    check_sizes(image, condition)
    found = np.asarray(canny(image))[..., 0] > 127
    wanted = brightest(np.asarray(condition.convert("RGB"))) > 127  # a stroke of any colour is one
    return f_score(found, wanted, tolerance)


CANNY = Condition(
    name="canny",
    order=1,
    summary="edges, white on black",
    contract=Contract(
        summary="RGB map of the picture's size: white (255) one-pixel lines on black (0).",
        values="0 or 255",
        polarity="white lines on black",
        channels=GREY,
        suits=(
            "lllyasviel/control_v11p_sd15_canny", "lllyasviel/sd-controlnet-canny",
            "thibaud/controlnet-sd21-canny-diffusers", "diffusers/controlnet-canny-sdxl-1.0",
            "xinsir/controlnet-canny-sdxl-1.0",
        ),
    ),
    extract=canny,
    score=edge_f1,
    metric="edge F1",
    draw_parameters=random_thresholds,
    check=check_thin_lines,
    resizing=THIN_LINES,
)  # fmt: skip
