"""Edges and lines found again: matched fractions and their F-score, with a tolerance.

Precision and recall of edges allow a small distance (D. Martin et al., "Learning to detect natural image boundaries using
local brightness, color, and texture cues", 2004, https://doi.org/10.1109/TPAMI.2004.1273918); here each way by dilation.
"""

from math import radians

import numpy as np

__all__ = ["f_beta", "f_score", "line_f_score", "matched_fraction", "orientation_field"]

ANGLE_TOLERANCE = radians(15)
COHERENT = 0.5  # from this coherence on a pixel has a direction


def f_beta(precision: float, recall: float, beta: float = 1.0) -> float:
    """`F = (1 + β²) P R / (β² P + R)`; 0 when both are 0. β above 1 weighs recall more (C. van Rijsbergen, 1979)."""
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall) if precision + recall else 0.0


def f_score(found: np.ndarray, wanted: np.ndarray, tolerance: int, beta: float = 1.0) -> float:
    """F-score of edges, or of lines weighted by their grey levels: [0, 1].

    Precision is the fraction of `found` matched by `wanted`, recall the reverse. Two empty maps agree: 1.

    Args:
        found: (H, W) bool, or grey levels as uint8.
        wanted: the same, where edges should be.
        tolerance: in pixels, each way.
        beta: weight of the recall.
    """
    if not found.any() and not wanted.any():
        return 1.0
    return f_beta(matched_fraction(found, wanted, tolerance), matched_fraction(wanted, found, tolerance), beta)


def matched_fraction(edges: np.ndarray, others: np.ndarray, tolerance: int) -> float:
    """The fraction of `edges` with one of `others` within `tolerance` pixels; 0 when there are no edges.

    Of grey levels it is `sum(min(edges, dilated(others))) / sum(edges)`.

    Args:
        edges: (H, W) bool, or grey levels as uint8.
        others: the same.
        tolerance: in pixels, each way.
    """
    import cv2

    if not edges.any():
        return 0.0
    side = 2 * tolerance + 1
    edges, near = edges.astype(np.uint8), cv2.dilate(others.astype(np.uint8), np.ones((side, side), np.uint8))
    return float(np.minimum(edges, near).sum(dtype=np.int64) / edges.sum(dtype=np.int64))


def line_f_score(found: np.ndarray, wanted: np.ndarray, tolerance: int) -> float:
    """F1 of straight lines: a pixel is matched by one within `tolerance` pixels whose line has its direction.

    Directions agree within 15 degrees; where lines cross or end, a pixel has no direction and any will do. Two empty maps
    agree: 1.

    Args:
        found: (H, W) bool, lines one pixel wide.
        wanted: the same, where lines should be.
        tolerance: in pixels, each way, 0 or more.
    """
    if not found.any() and not wanted.any():
        return 1.0
    a, b = orientation_field(found), orientation_field(wanted)
    return f_beta(aligned_fraction(found, wanted, a, b, tolerance), aligned_fraction(wanted, found, b, a, tolerance))


def aligned_fraction(
    lines: np.ndarray, others: np.ndarray, orientation: np.ndarray, other_orientation: np.ndarray, tolerance: int
) -> float:
    """As `matched_fraction`, of line pixels matched by pixels of about the same orientation."""
    rows, columns = np.nonzero(lines)
    if not len(rows):
        return 0.0
    others, other_orientation = np.pad(others, tolerance), np.pad(other_orientation, tolerance)
    here, matched = orientation[rows, columns], np.zeros(len(rows), bool)
    for dy in range(2 * tolerance + 1):
        for dx in range(2 * tolerance + 1):
            there = other_orientation[rows + dy, columns + dx]
            sure = np.minimum(np.abs(here), np.abs(there)) > COHERENT
            turned = np.abs(np.angle(here * there.conj())) / 2 > ANGLE_TOLERANCE
            matched |= others[rows + dy, columns + dx] & ~(sure & turned)
    return float(matched.mean())


def orientation_field(lines: np.ndarray) -> np.ndarray:
    """The orientation of each line pixel by the structure tensor (J. Bigun, G. H. Granlund, 1987): (H, W) complex64.

    Its argument is twice the angle, its modulus the coherence: 1 on one straight line, 0 where two cross.

    Args:
        lines: (H, W) bool.
    """
    import cv2

    soft = cv2.GaussianBlur(lines.astype(np.float32), (0, 0), 1)
    dx, dy = (cv2.Sobel(soft, cv2.CV_32F, *order, ksize=3) for order in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.GaussianBlur(product, (0, 0), 2.5) for product in (dx * dx, dy * dy, dx * dy))
    return (xx - yy + 2j * xy) / np.maximum(xx + yy, 1e-9)
