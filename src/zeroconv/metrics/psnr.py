"""Peak signal-to-noise ratio of two pictures, on a scale from 0 to 1."""

import math

import numpy as np

__all__ = ["normalized_psnr"]

WORST = 10.0  # decibels; two pictures that have nothing to do with each other


def normalized_psnr(a: np.ndarray, b: np.ndarray, best: float) -> float:
    """`PSNR = 10 log10(255^2 / mean((a - b)^2))`, mapped linearly from 10 dB … `best` to 0 … 1 and clipped.

    Args:
        a: values in [0, 255], any shape.
        b: values in [0, 255], the same shape. Two empty arrays are equal: 1.
        best: decibels from which on nobody sees a difference; 40 is an error of 2.55 levels, 50 of 0.8.
    """
    error = float(np.mean((a.astype(np.float64) - b) ** 2)) if a.size else 0.0
    if error == 0:
        return 1.0
    ratio = 10 * math.log10(255**2 / error)
    return min(1.0, max(0.0, (ratio - WORST) / (best - WORST)))
