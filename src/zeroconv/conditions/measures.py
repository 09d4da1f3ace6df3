"""How well what was found meets what was wanted: poses, classes, depth, normals, edges; plain functions of arrays."""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "COCO_SPREADS", "OPENPOSE_SPREADS", "AngleScores", "DepthScores", "EdgeScores", "align", "angle_scores",
    "angles_between", "depth_scores", "edge_scores", "joints_met", "mean_overlap", "oks",
]  # fmt: skip

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
NEAR_ENOUGH = 1.25  # of two distances, D. Eigen et al. 2014


@dataclass(frozen=True)
class DepthScores:
    """Depth after alignment.

    Attributes:
        rmse: root mean square error, in the unit of what was wanted.
        relative: mean of |found - wanted| / wanted.
        delta1: share of pixels whose ratio is below 1.25, either way; [0, 1].
    """

    rmse: float
    relative: float
    delta1: float


@dataclass(frozen=True)
class AngleScores:
    """Angles between normals, in degrees, and the shares in [0, 1] within 11.25, 22.5 and 30 degrees."""

    mean: float
    median: float
    within_11: float
    within_22: float
    within_30: float


@dataclass(frozen=True)
class EdgeScores:
    """Precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def joints_met(found: np.ndarray, wanted: np.ndarray, visible: np.ndarray, within: float, length: float = 1.0) -> float:
    """PCK: the share of wanted joints that are found within a distance (Y. Yang and D. Ramanan, 2013): [0, 1].

    Args:
        found: (..., K, 2) positions.
        wanted: (..., K, 2) positions in the same unit.
        visible: (..., K), which joints count; without any the answer is 1.
        within: the distance that still counts, as a share of `length`.
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
        visible: (K,), which joints count; without any the answer is 1.
        area: of the person in square pixels.
        spreads: (K,), `OPENPOSE_SPREADS` or `COCO_SPREADS`.

    Raises:
        ValueError: when the area is not positive, or the number of joints is not that of the spreads.
    """
    if area <= 0 or len(found) != len(spreads):
        raise ValueError(f"got {len(found)} joints and area {area:g}; expected {len(spreads)} joints and an area above 0")
    counted = np.asarray(visible) > 0
    squared = ((np.asarray(found, float) - np.asarray(wanted, float)) ** 2).sum(-1)
    likeness = np.exp(-squared / (2 * area * (2 * spreads) ** 2))
    return float(likeness[counted].mean()) if counted.any() else 1.0


def mean_overlap(found: np.ndarray, wanted: np.ndarray, ignore: int = 255, least: float = 0.0) -> float:
    """Mean of |A n B| / |A u B| over the classes that are wanted (M. Everingham et al., 2010): [0, 1].

    Args:
        found: (H, W) class of each pixel.
        wanted: (H, W) class of each pixel.
        ignore: a class of `wanted` whose pixels do not count.
        least: the share of the picture from which a class counts.
    """
    counted = wanted != ignore
    ratios: list[float] = []
    for index in np.unique(wanted[counted]):
        there, seen = wanted == index, (found == index) & counted
        if there.mean() >= least:
            ratios.append(float((there & seen).sum() / (there | seen).sum()))
    return float(np.mean(ratios)) if ratios else 1.0


def align(found: np.ndarray, wanted: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """The multiple and shift of `found` that is nearest to `wanted` by least squares (R. Ranftl et al., 2020).

    Args:
        found: (H, W) relative inverse depth.
        wanted: (H, W) inverse depth.
        valid: (H, W), which pixels count; all if left out.

    Returns:
        scale * found + shift, (H, W) float64.
    """
    counted = np.ones(wanted.shape, bool) if valid is None else valid
    x, y = found[counted].astype(float), wanted[counted].astype(float)
    if not len(x):
        return found.astype(float)
    spread = float(((x - x.mean()) ** 2).mean())
    scale = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 1e-12 else 0.0
    return scale * (found.astype(float) - x.mean()) + y.mean()


def depth_scores(found: np.ndarray, wanted: np.ndarray, valid: np.ndarray | None = None) -> DepthScores:
    """RMSE, relative error and δ1 of relative inverse depth after `align`.

    δ1 is the share of max(found / wanted, wanted / found) < 1.25 (D. Eigen et al., 2014): the same for distances and
    their inverses.

    Args:
        found: (H, W) inverse depth of any scale and shift.
        wanted: (H, W) inverse depth; pixels where it is 0 (the sky) count for the alignment and the RMSE alone.
        valid: (H, W), which pixels count; all if left out.
    """
    counted = np.ones(wanted.shape, bool) if valid is None else valid
    aligned, true = align(found, wanted, counted)[counted], wanted[counted].astype(float)
    if not len(true):
        return DepthScores(0.0, 0.0, 1.0)
    rmse = float(np.sqrt(((aligned - true) ** 2).mean()))
    near = true > 1e-6
    if not near.any():
        return DepthScores(rmse, 0.0, 1.0)
    aligned, true = aligned[near].clip(1e-6), true[near]
    ratio = np.maximum(aligned / true, true / aligned)
    return DepthScores(rmse, float((np.abs(aligned - true) / true).mean()), float((ratio < NEAR_ENOUGH).mean()))


def angles_between(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The angle between unit vectors in degrees, (...,) in [0, 180]; nan where either is no vector.

    Args:
        found: (..., 3).
        wanted: (..., 3).
    """
    a, b = found.astype(float), wanted.astype(float)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    # from the sine as well, because the cosine alone says little about small angles
    sine, cosine = np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1)
    return np.where(lengths > 0, np.degrees(np.arctan2(sine, cosine)), np.nan)


def angle_scores(found: np.ndarray, wanted: np.ndarray) -> AngleScores:
    """Angular errors of normals (D. Fouhey et al., 2013), over the places where both have one.

    Args:
        found: (H, W, 3) vectors; (0, 0, 0) for no surface.
        wanted: (H, W, 3) vectors; (0, 0, 0) for no surface.
    """
    angles = angles_between(found, wanted)
    angles = angles[np.isfinite(angles)]
    if not len(angles):
        return AngleScores(0.0, 0.0, 1.0, 1.0, 1.0)
    within = (float((angles <= limit).mean()) for limit in (11.25, 22.5, 30.0))
    return AngleScores(float(angles.mean()), float(np.median(angles)), *within)


def edge_scores(found: np.ndarray, wanted: np.ndarray, tolerance: int = 1) -> EdgeScores:
    """Precision, recall and F1 of edges with a tolerance (D. Martin et al., 2004; here each way by dilation).

    Args:
        found: (H, W), where edges are.
        wanted: (H, W), where they should be. Two empty maps agree.
        tolerance: in pixels, each way.
    """
    from zeroconv.conditions.canny import share_met

    found, wanted = found > 0, wanted > 0
    if not found.any() and not wanted.any():
        return EdgeScores(1.0, 1.0, 1.0)
    precision, recall = share_met(found, wanted, tolerance), share_met(wanted, found, tolerance)
    return EdgeScores(precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0)
