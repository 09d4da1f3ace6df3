"""HED in numpy, restated from the paper and the names of a Keras weight file: what ours is proven against.

No code is shared with `zeroconv.conditions.networks.hed`: height, width and channels in Keras' order, blue before red, a
convolution as nine products of matrices, enlargement as a product with a matrix of bilinear weights.
"""

from collections.abc import Mapping

import numpy as np

BLUE_GREEN_RED = (104.00699, 116.66877, 122.67892)
Arrays = Mapping[str, np.ndarray]


def edges(rgb: np.ndarray, arrays: Arrays, fusion: str = "learned") -> np.ndarray:
    """Edge probabilities (H, W) in [0, 1] of a picture (H, W, 3), uint8.

    Args:
        rgb: the picture.
        arrays: by name, such as "block1/layers/conv2d/vars/0", (height, width, inputs, outputs).
        fusion: "learned" or "mean".
    """
    height, width = rgb.shape[:2]
    x = rgb[..., ::-1].astype(np.float32) - np.array(BLUE_GREEN_RED, np.float32)
    sides: list[np.ndarray] = []
    for block in range(1, 1 + sum(name.startswith("dsn") for name in arrays) // 2):
        if block > 1:
            x = halve(x)
        prefix, index = f"block{block}/layers/conv2d", 0
        while (name := f"{prefix}_{index}" if index else prefix) + "/vars/0" in arrays:
            x = np.maximum(convolve(x, arrays[f"{name}/vars/0"]) + arrays[f"{name}/vars/1"], 0)
            index += 1
        side = x @ arrays[f"dsn{block}/vars/0"][0, 0, :, 0] + arrays[f"dsn{block}/vars/1"]  # (h, w)
        stride = 2 ** (block - 1)
        sides.append(bilinear(len(side), height, stride) @ side @ bilinear(side.shape[1], width, stride).T)
    if fusion == "mean":
        logit = sum(sides) / len(sides)
    else:
        weights = arrays["fuse/vars/0"].ravel()
        logit = sum(weight * side for weight, side in zip(weights, sides, strict=True)) + arrays["fuse/vars/1"]
    return 1 / (1 + np.exp(-np.asarray(logit, np.float64)))


def convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Same-size cross-correlation of (H, W, I) with (3, 3, I, O), zeros around: (H, W, O)."""
    height, width = x.shape[:2]
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    total = np.zeros((height, width, kernel.shape[3]), np.float32)
    for i in range(3):
        for j in range(3):
            total += padded[i : i + height, j : j + width] @ kernel[i, j]
    return total


def halve(x: np.ndarray) -> np.ndarray:
    """The greatest of each 2 x 2, sides rounded up."""
    height, width, channels = x.shape
    padded = np.pad(x, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=-np.inf)
    return padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2, channels).max((1, 3))


def bilinear(units: int, pixels: int, stride: int) -> np.ndarray:
    """Weights (pixels, units) that enlarge `stride` times, unit k centred on pixel (k + 1/2) stride - 1/2."""
    place = ((np.arange(pixels) + 0.5) / stride - 0.5).clip(0, units - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(units))).astype(np.float64)
