"""Sharpness: the mean gradient magnitude of a picture, to be compared with that of other pictures of the same kind."""

import numpy as np

__all__ = ["mean_gradient"]

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luma Y' (ITU-R BT.601)."""


def mean_gradient(image: np.ndarray) -> float:
    """Mean of `sqrt(dx² + dy²)` of the luma, by differences of neighbouring pixels: [0, 361] levels a pixel.

    Blurring lowers it and noise raises it: compare it only between pictures of the same size and the same things.

    Args:
        image: (H, W, 3) sRGB or (H, W) grey levels in [0, 255], 2 x 2 pixels or more.

    Raises:
        ValueError: for another shape.
    """
    grey = image @ LUMA if image.ndim == 3 and image.shape[2] == 3 else np.asarray(image, np.float64)
    if grey.ndim != 2 or min(grey.shape) < 2:
        raise ValueError(f"picture has shape {image.shape}; expected (H, W, 3) or (H, W), 2 x 2 pixels or more")
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    return float(np.hypot(across, down).mean())
