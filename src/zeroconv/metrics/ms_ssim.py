"""Multi-scale structural similarity (Wang et al., 2003)."""

import numpy as np

from zeroconv.metrics.ssim import SIGMA, WINDOW

__all__ = ["SMALLEST", "WEIGHTS", "ms_ssim"]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponents of the five scales, finest first, as the authors measured them on people."""

SMALLEST = WINDOW * 2 ** (len(WEIGHTS) - 1)
"""Pixels of the shorter side below which the coarsest scale is smaller than a window: 176."""


def ms_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Multi-scale structural similarity of two grey pictures (H, W) in 0 … 255: [0, 1].

    `l_M^w_M Π_j cs_j^w_j`: the contrast and structure `cs_j = (2 sab + C2) / (sa² + sb² + C2)` of each scale and the
    luminance of the coarsest, means over the windows of `ssim`; a scale is the finer one's means over 2 x 2 pixels. A scale
    below 0 counts as 0. At the coarsest scale the windows over the mirrored border count too, as torchmetrics has it, with
    which figures are published; the authors leave them out. Z. Wang, E. Simoncelli, A. Bovik, "Multiscale structural
    similarity for image quality assessment", 2003, https://doi.org/10.1109/ACSSC.2003.1292216

    Args:
        a: one picture.
        b: the other, of the same shape.

    Raises:
        ValueError: when their shapes differ, or a side is shorter than 176 pixels.
    """
    if a.shape != b.shape or min(a.shape) < SMALLEST:
        raise ValueError(
            f"MS-SSIM is of two pictures of one shape, {SMALLEST} pixels or more each way; got {a.shape}, {b.shape}"
        )
    a, b, product = a.astype(np.float64), b.astype(np.float64), 1.0
    for scale, weight in enumerate(WEIGHTS):
        similarity, structure = compare(a, b)
        product *= max(similarity if scale == len(WEIGHTS) - 1 else structure, 0.0) ** weight
        a, b = halve(a), halve(b)
    return float(product)


def compare(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Mean structural similarity of two pictures, and that of their contrast and structure alone."""
    import cv2

    inner = slice(WINDOW // 2, -(WINDOW // 2))

    def local(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT_101)

    ma, mb = local(a), local(b)
    sa2, sb2, sab = local(a * a) - ma * ma, local(b * b) - mb * mb, local(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    structure = (2 * sab + c2) / (sa2 + sb2 + c2)
    luminance = (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
    return float(np.mean(luminance * structure)), float(np.mean(structure[inner, inner]))


def halve(x: np.ndarray) -> np.ndarray:
    """Means over 2 x 2 pixels; an odd last row or column is left out."""
    h, w = x.shape[0] // 2, x.shape[1] // 2
    return x[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean(axis=(1, 3))
