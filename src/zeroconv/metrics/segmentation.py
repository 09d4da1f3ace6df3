"""Mean intersection over union of class maps."""

import numpy as np

__all__ = ["mean_iou"]


def mean_iou(found: np.ndarray, wanted: np.ndarray, ignore: int = 255, least: float = 0.0) -> float:
    """Mean of |A n B| / |A u B| over the classes of `wanted` (M. Everingham et al., 2010): [0, 1].

    Args:
        found: (H, W) class of each pixel.
        wanted: (H, W) class of each pixel.
        ignore: a class of `wanted` whose pixels do not count.
        least: the fraction of the picture from which a class counts.
    """
    counted = wanted != ignore
    ratios: list[float] = []
    for index in np.unique(wanted[counted]):
        a, b = wanted == index, (found == index) & counted
        if a.mean() >= least:
            ratios.append(float((a & b).sum() / (a | b).sum()))
    return float(np.mean(ratios)) if ratios else 1.0
