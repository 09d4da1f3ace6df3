"""Drawings: whether a picture is one, its ink made darker and broader, its strokes told from the paper they are on."""

import numpy as np
from PIL import Image

from zeroconv.conditions.raster.morphology import apply_hysteresis, brightest
from zeroconv.images import as_rgb

__all__ = ["broaden", "clean_drawing", "darken_ink", "is_drawing"]

DARK = 165  # grey levels between paper and ink from which ink is dark enough for every method: soft pencil
PALEST = 16  # grey levels between paper and what is taken for ink
ABOVE_GRAIN = 6  # standard deviations of the paper by which ink differs from it
GRAIN = 3.0  # grey levels to which the grain of the paper may be raised


def clean_drawing(image: Image.Image, threshold: float | None = None) -> np.ndarray:
    """The strokes of somebody's own drawing, whatever it is drawn on: (H, W) bool.

    The paper is the median of a wide neighbourhood, which follows shadows and forgets strokes. A stroke is what
    differs from it, in the direction (darker or brighter) in which the drawing differs more, in any channel, as a
    share of what it could differ.

    Args:
        image: dark on bright or bright on dark; transparent paper becomes what shows the strokes.
        threshold: 0 … 1; by default N. Otsu's (1979), between 0.12 and 0.6.
    """
    import cv2

    rgb = np.asarray(flatten(image)).astype(np.float32)
    paper = estimate_paper(rgb)
    darker, brighter = np.maximum(paper - rgb, 0), np.maximum(rgb - paper, 0)
    bright = (brighter**2).sum() > (darker**2).sum()
    room = np.maximum(255 - paper if bright else paper, 32)  # noise of black paper is no stroke
    contrast = np.maximum.reduce(cv2.split((brighter if bright else darker) / room)).clip(0, 1)
    level = otsu_threshold(contrast) if threshold is None else max(threshold, 1 / 255)
    return apply_hysteresis(contrast, 0.75 * level, level)


def flatten(image: Image.Image) -> Image.Image:
    """The picture in RGB; transparent paper becomes white behind dark strokes, and black behind bright ones."""
    if not image.has_transparency_data:
        return as_rgb(image)
    rgba = np.asarray(image.convert("RGBA")).astype(np.float32)
    alpha = rgba[..., 3:] / 255
    mean = (rgba[..., :3] * alpha).sum() / max(3 * alpha.sum(), 1)
    paper = 255 if mean < 128 else 0
    return Image.fromarray((rgba[..., :3] * alpha + paper * (1 - alpha)).round().astype(np.uint8))


def estimate_paper(rgb: np.ndarray) -> np.ndarray:
    """What the strokes are drawn on: the median over about a third of the picture, (H, W, 3) float32."""
    import cv2

    height, width = rgb.shape[:2]
    scale = min(1, 128 / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).round().astype(np.uint8)
    window = max(3, max(size) // 3 | 1)
    paper = cv2.GaussianBlur(cv2.medianBlur(small, window).astype(np.float32), (0, 0), 1)
    return cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR)


def otsu_threshold(contrast: np.ndarray) -> float:
    """The level between two groups of values (N. Otsu, 1979), 0.12 … 0.6; contrast: (H, W) in [0, 1]."""
    import cv2

    level, _ = cv2.threshold((contrast * 255).round().astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(np.clip(level / 255, 0.12, 0.6))


def is_drawing(rgb: np.ndarray) -> bool:
    """Whether a picture (H, W, 3) is ink on bright paper: most of it has nearly one light tone."""
    grey = brightest(rgb)
    paper = int(np.bincount(grey.ravel(), minlength=256).argmax())
    return paper > 160 and float((np.abs(grey.astype(int) - paper) < 24).mean()) > 0.7


def darken_ink(rgb: np.ndarray) -> np.ndarray:
    """A drawing in pale ink as if it were drawn with a soft pencil; any other picture, and one in dark ink, as it is.

    What is darker than the paper (the most frequent level of each channel) becomes so by a factor, the same
    everywhere, so that paler strokes stay paler. Ink is what differs clearly from the paper's own grain.

    Args:
        rgb: (H, W, 3) uint8; a drawing is on bright paper, see `is_drawing`.
    """
    if not is_drawing(rgb):
        return rgb
    paper = np.array([np.bincount(channel.ravel(), minlength=256).argmax() for channel in np.moveaxis(rgb, 2, 0)])
    darker = paper.astype(np.int16) - rgb
    contrast = brightest(darker)
    grain = float(np.percentile(np.abs(contrast[np.abs(contrast) < 24]), 68))  # one standard deviation; rims of ink are few
    ink = contrast[contrast > max(PALEST, ABOVE_GRAIN * grain)]
    if not len(ink):
        return rgb
    gain = min(DARK / float(np.percentile(ink, 75)), GRAIN / max(grain, 0.1))
    return rgb if gain <= 1 else (paper - gain * darker).clip(0, 255).round().astype(np.uint8)


def broaden(rgb: np.ndarray, width: int) -> np.ndarray:
    """A drawing (H, W, 3) whose dark lines are at least `width` pixels wide."""
    import cv2

    return np.asarray(cv2.erode(rgb, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (max(1, width), max(1, width)))))
