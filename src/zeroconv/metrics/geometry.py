"""Errors of depth after alignment, and of surface normals in degrees."""

from dataclasses import dataclass

import numpy as np

__all__ = ["AngleScores", "DepthScores", "align", "angle_scores", "angles_between", "depth_scores"]

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
