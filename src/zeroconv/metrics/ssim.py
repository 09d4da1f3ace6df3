"""Structural similarity (Wang et al., 2004)."""

import numpy as np

__all__ = ["ssim"]

WINDOW, SIGMA = 11, 1.5  # pixels


def ssim(a: np.ndarray, b: np.ndarray, lit: float = 0) -> float:
    """Mean structural similarity of two grey pictures (H, W) in 0 … 255: [-1, 1].

    `(2 ma mb + C1) (2 sab + C2) / ((ma² + mb² + C1) (sa² + sb² + C2))` in windows of 11 x 11 with Gaussian weights of
    sigma 1.5, `C1 = (0.01 255)²`, `C2 = (0.03 255)²`, averaged over the windows that lie within the picture; a
    picture narrower than a window is mirrored at its border. Z. Wang, A. Bovik, H. Sheikh, E. Simoncelli, "Image
    quality assessment: from error visibility to structural similarity", 2004, https://doi.org/10.1109/TIP.2003.819861

    Args:
        a: one picture.
        b: the other.
        lit: only windows in which a pixel of either picture reaches this level count: two black windows are alike, and of
            maps of edges most are. 1 when there is no such window. All count by default.
    """
    import cv2

    inner = slice(WINDOW // 2, -(WINDOW // 2)) if min(a.shape) >= WINDOW else slice(None)

    def local(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(x, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT)[inner, inner]

    a, b = a.astype(np.float64), b.astype(np.float64)
    ma, mb = local(a), local(b)
    sa2, sb2, sab = local(a * a) - ma * ma, local(b * b) - mb * mb, local(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * ma * mb + c1) * (2 * sab + c2) / ((ma**2 + mb**2 + c1) * (sa2 + sb2 + c2))
    if lit:
        brightest: np.ndarray = cv2.dilate(np.maximum(a, b), np.ones((WINDOW, WINDOW), np.uint8))
        similarity = similarity[brightest[inner, inner] >= lit]
    return float(np.mean(similarity)) if similarity.size else 1.0
