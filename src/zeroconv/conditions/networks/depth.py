"""Depth by published networks: Depth Anything V2, and DPT (MiDaS)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from zeroconv.conditions.networks.batching import run_in_batches
from zeroconv.conditions.networks.transformers import open_network, to_input

__all__ = ["learned_depth", "predict_depth", "stretch"]


def learned_depth(
    images: Sequence[Image.Image], method: str = "depth-anything", weights: str | Path | None = None, device: str = "cpu"
) -> list[np.ndarray]:
    """Inverse depth of each picture, (H, W) float32, near = 1 and far = 0: relative, without unit.

    Args:
        images: any pictures; those of one size are seen together.
        method: "depth-anything" or "dpt".
        weights: a folder or hub id instead of the published one.
        device: where the network runs.

    Raises:
        FileNotFoundError: when the weights are not here and cannot be fetched.
        ValueError: when they are not of this method.
    """
    return [stretch(one) for one in predict_depth(images, method, weights, device)]


@torch.inference_mode()
def predict_depth(
    images: Sequence[Image.Image], method: str = "depth-anything", weights: str | Path | None = None, device: str = "cpu"
) -> list[np.ndarray]:
    """As `learned_depth`, in the network's own unit: (H, W) float32, near is larger."""
    network = open_network(method, weights, device)
    pixels = [to_input(image, network) for image in images]
    found = run_in_batches(pixels, lambda batch: network.model(batch).predicted_depth[:, None])
    metric = getattr(network.model.config, "depth_estimation_type", "relative") == "metric"
    return [enlarge(one, (image.height, image.width), metric) for one, image in zip(found, images, strict=True)]


def enlarge(found: Tensor, size: tuple[int, int], metric: bool) -> np.ndarray:
    """What a network answered, (1, 1, h, w), at a size (H, W); distances in metres become their inverses."""
    depth = F.interpolate(found, size=size, mode="bicubic", align_corners=False)[0, 0].float().cpu().numpy()
    return 1 / np.maximum(depth, 1e-3) if metric else depth


def stretch(depth: np.ndarray) -> np.ndarray:
    """Inverse depth (H, W) in any unit, from 0 to 1; a flat one is 0."""
    low, high = float(depth.min()), float(depth.max())
    return (depth - low) / (high - low) if high - low > 1e-6 * max(1.0, abs(high)) else np.zeros_like(depth)
