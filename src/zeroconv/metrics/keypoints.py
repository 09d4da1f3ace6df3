"""Keypoints found again: percentage of correct keypoints (PCK) and object keypoint similarity (OKS)."""

import numpy as np

__all__ = ["COCO_SPREADS", "OPENPOSE_SPREADS", "oks", "pck"]

# How far people who mark joints disagree, as a share of the person's size (COCO's keypoint evaluation, 2017).
COCO_SPREADS = np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
)
"""Of nose, eyes, ears, shoulders, elbows, wrists, hips, knees and ankles, left before right."""


OPENPOSE_SPREADS = np.array(
    [
        0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089,
        0.025, 0.025, 0.035, 0.035,
    ]
)  # fmt: skip
"""The same for OpenPose's 18 joints; COCO has no neck, so it has the shoulders' spread."""


def pck(found: np.ndarray, wanted: np.ndarray, visible: np.ndarray, within: float, length: float = 1.0) -> float:
    """The fraction of wanted keypoints that are found within a distance (Y. Yang and D. Ramanan, 2013): [0, 1].

    Args:
        found: (..., K, 2) positions.
        wanted: (..., K, 2) positions in the same unit.
        visible: (..., K), which keypoints count; without any the answer is 1.
        within: the distance that still counts, as a fraction of `length`.
        length: such as the picture's or the person's width, in the positions' unit.
    """
    counted = np.asarray(visible) > 0
    distance = np.linalg.norm(np.asarray(found, float) - np.asarray(wanted, float), axis=-1)
    return float((distance <= within * length)[counted].mean()) if counted.any() else 1.0


def oks(
    found: np.ndarray, wanted: np.ndarray, visible: np.ndarray, area: float, spreads: np.ndarray = OPENPOSE_SPREADS
) -> float:
    """Object keypoint similarity of one person: the mean of exp(-d² / (2 s² k²)), k = 2 spreads, s² = area: [0, 1].

    Source: COCO's keypoint evaluation (https://cocodataset.org/#keypoints-eval).

    Args:
        found: (K, 2) positions in pixels.
        wanted: (K, 2) positions in pixels.
        visible: (K,), which keypoints count; without any the answer is 1.
        area: of the person in square pixels.
        spreads: (K,), `OPENPOSE_SPREADS` or `COCO_SPREADS`.

    Raises:
        ValueError: when the area is not positive, or the number of joints is not that of the spreads.
    """
    if area <= 0 or len(found) != len(spreads):
        raise ValueError(f"got {len(found)} joints and area {area:g}; expected {len(spreads)} joints and an area above 0")
    counted = np.asarray(visible) > 0
    squared = ((np.asarray(found, float) - np.asarray(wanted, float)) ** 2).sum(-1)
    similarity = np.exp(-squared / (2 * area * (2 * spreads) ** 2))
    return float(similarity[counted].mean()) if counted.any() else 1.0
