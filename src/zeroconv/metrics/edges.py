"""Edges found again: matched shares and their F-measure."""

from dataclasses import dataclass

import numpy as np


def share_met(edges: np.ndarray, others: np.ndarray, tolerance: int) -> float:
    """The share of `edges` with one of `others` within `tolerance` pixels; 0 when there are no edges."""
    import cv2

    if not edges.any():
        return 0.0
    side = 2 * tolerance + 1
    near = cv2.dilate(others.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    return float((edges & near).sum() / edges.sum())


@dataclass(frozen=True)
class EdgeScores:
    """Precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def edge_scores(found: np.ndarray, wanted: np.ndarray, tolerance: int = 1) -> EdgeScores:
    """Precision, recall and F1 of edges with a tolerance (D. Martin et al., 2004; here each way by dilation).

    Args:
        found: (H, W), where edges are.
        wanted: (H, W), where they should be. Two empty maps agree.
        tolerance: in pixels, each way.
    """
    from zeroconv.metrics.edges import share_met

    found, wanted = found > 0, wanted > 0
    if not found.any() and not wanted.any():
        return EdgeScores(1.0, 1.0, 1.0)
    precision, recall = share_met(found, wanted, tolerance), share_met(wanted, found, tolerance)
    return EdgeScores(precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0)
