"""Class maps that agree: mean intersection over union."""

import numpy as np


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
