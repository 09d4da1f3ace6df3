"""Depth by published networks: Depth Anything V2, and DPT (MiDaS)."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from zeroconv.conditions.networks import open_network, pixels_of

__all__ = ["learned_depth"]


@torch.inference_mode()
def learned_depth(
    image: Image.Image, method: str = "depth-anything", weights: str | Path | None = None, device: str = "cpu"
) -> np.ndarray:
    """Inverse depth of a picture, (H, W) float32, near = 1 and far = 0: relative, without unit.

    Args:
        image: any picture.
        method: "depth-anything" or "dpt".
        weights: a folder or hub id instead of the published one.
        device: where the network runs.

    Raises:
        FileNotFoundError: when the weights are not here and cannot be fetched.
        ValueError: when they are not of this method.
    """
    network = open_network(method, weights, device)
    found = network.model(pixels_of(image, network)).predicted_depth[:, None]  # (1, 1, h, w)
    size = (image.height, image.width)
    depth = F.interpolate(found, size=size, mode="bicubic", align_corners=False)[0, 0].float().cpu().numpy()
    if getattr(network.model.config, "depth_estimation_type", "relative") == "metric":
        depth = 1 / np.maximum(depth, 1e-3)  # such networks answer in metres
    low, high = float(depth.min()), float(depth.max())
    return (depth - low) / (high - low) if high - low > 1e-6 * max(1.0, abs(high)) else np.zeros_like(depth)
