"""ADE20K classes by published networks: SegFormer, Mask2Former and OneFormer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from zeroconv.conditions.networks.batching import run_in_batches
from zeroconv.conditions.networks.transformers import Network, open_network, to_input

__all__ = ["argmax_at_size", "learned_classes"]

TASK_LENGTH = 77
# "the task is semantic" in the vocabulary of CLIP between its marks of beginning and end; padding counts as 0.
SEMANTIC_TASK = (49406, 518, 10549, 533, 29119, 1550, 49407)
AT_ONCE = 2**24  # scores enlarged at a time: 64 MiB


@torch.inference_mode()
def learned_classes(
    images: Sequence[Image.Image], method: str = "oneformer", weights: str | Path | None = None, device: str = "cpu"
) -> list[np.ndarray]:
    """The ADE20K class of each pixel of each picture: (H, W) uint8, 0 … 149.

    Args:
        images: any pictures; those of one size are seen together.
        method: "segformer", "mask2former" or "oneformer".
        weights: a folder or hub id instead of the published one.
        device: where the network runs.

    Raises:
        FileNotFoundError: when the weights are not here and cannot be fetched.
        ValueError: when they are not of this method, or know other classes.
    """
    network = open_network(method, weights, device)
    labels = network.model.config.num_labels
    if labels != 150:
        raise ValueError(f"the weights in {network.folder} know {labels} classes; expected the 150 of ADE20K")
    scores = run_in_batches([to_input(image, network) for image in images], lambda pixels: class_scores(network, pixels))
    return [argmax_at_size(one, (image.height, image.width)) for one, image in zip(scores, images, strict=True)]


def class_scores(network: Network, pixels: Tensor) -> Tensor:
    """A score for each class at each place of pictures (B, 3, H, W): (B, 150, h, w)."""
    model = network.model
    if model.config.model_type == "segformer":
        return model(pixels).logits
    inputs: dict[str, Any] = {}
    if model.config.model_type == "oneformer":
        task = torch.zeros(len(pixels), TASK_LENGTH, device=pixels.device)
        task[:, : len(SEMANTIC_TASK)] = torch.tensor(SEMANTIC_TASK, dtype=task.dtype)
        inputs["task_inputs"] = task
    output = model(pixels, **inputs)
    # each query has a class and a mask; the last class is "nothing"
    classes, masks = output.class_queries_logits.softmax(-1)[..., :-1], output.masks_queries_logits.sigmoid()
    return torch.einsum("bqc,bqhw->bchw", classes, masks)


def argmax_at_size(scores: Tensor, size: tuple[int, int]) -> np.ndarray:
    """The index of the largest score after enlarging: (H, W) uint8.

    The classes are enlarged some at a time, so that the memory does not grow with their number.

    Args:
        scores: (1, C, h, w).
        size: H and W.
    """
    step = max(1, AT_ONCE // (size[0] * size[1]))
    best: Tensor | None = None
    index = torch.zeros(size, dtype=torch.uint8, device=scores.device)
    for first in range(0, scores.shape[1], step):
        part = F.interpolate(scores[:, first : first + step].float(), size=size, mode="bilinear", align_corners=False)
        top, place = part[0].max(0)
        better = torch.ones_like(top, dtype=torch.bool) if best is None else top > best
        best = top if best is None else torch.maximum(best, top)
        index = torch.where(better, (place + first).to(torch.uint8), index)
    return index.cpu().numpy()
