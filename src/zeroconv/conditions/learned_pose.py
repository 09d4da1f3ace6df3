"""Human pose by published networks: RT-DETR finds people, ViTPose their joints; 17 COCO joints become OpenPose's 18."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from zeroconv.conditions.networks import Network, normalised, open_network, pixels_of
from zeroconv.conditions.weights import PERSON_DETECTOR

__all__ = ["FROM_COCO", "learned_people", "openpose_of_coco"]

# Which COCO joint each OpenPose joint is; the neck is none of them.
FROM_COCO = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
NECK, SHOULDERS = 1, (5, 6)
CROP = (192, 256)  # width and height that ViTPose looks at
PADDING = 1.25  # a crop is wider and higher than its box
MOST = 32  # people in one picture
BLUR = 0.8  # of a heat map before its peak is located


@torch.inference_mode()
def learned_people(
    image: Image.Image,
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = 0.3,
    device: str = "cpu",
) -> np.ndarray:
    """The people of a picture: (N, 18, 3) float32, x and y in pixels and confidence, in the order of `JOINTS`.

    Args:
        image: any picture.
        weights: of ViTPose: a folder or hub id instead of the published one.
        detector: of RT-DETR, likewise.
        threshold: confidence in [0, 1] from which a person or a joint is believed; other joints are 0.
        device: where the networks run.

    Raises:
        FileNotFoundError: when weights are not here and cannot be fetched.
        ValueError: when they are of another kind.
    """
    finder, reader = open_network(PERSON_DETECTOR, detector, device), open_network("vitpose", weights, device)
    boxes = person_boxes(finder, image, threshold)
    if not len(boxes):
        return np.zeros((0, 18, 3), np.float32)
    people = openpose_of_coco(joints_in(reader, np.asarray(image.convert("RGB")), boxes))
    people[people[..., 2] < threshold] = 0
    return people


def person_boxes(network: Network, image: Image.Image, threshold: float) -> np.ndarray:
    """Boxes of people, the surest first: (N, 4) left, top, right, bottom in pixels."""
    seen = network.model(pixels_of(image, network))
    names: dict[int, str] = network.model.config.id2label
    person = next((index for index, name in names.items() if name == "person"), 0)
    scores = seen.logits[0, :, int(person)].sigmoid().float().cpu().numpy()
    x, y, width, height = seen.pred_boxes[0].float().cpu().numpy().T
    corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    boxes = corners.clip(0, 1) * np.tile(image.size, 2)
    order = np.argsort(-scores, kind="stable")
    smallest = np.min(boxes[:, 2:] - boxes[:, :2], axis=1)
    return boxes[[i for i in order if scores[i] >= threshold and smallest[i] >= 1][:MOST]].astype(np.float32).reshape(-1, 4)


def joints_in(network: Network, rgb: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """COCO's 17 joints in each box: (N, 17, 3), x and y in pixels of the picture and confidence."""
    frames = [frame_of(box) for box in boxes]
    crops = torch.stack([normalised(cut(rgb, frame), network.recipe) for frame in frames]).to(network.model.device)
    told: dict[str, Any] = {}
    if getattr(network.model.config.backbone_config, "num_experts", 1) > 1:
        told["dataset_index"] = torch.zeros(len(crops), dtype=torch.long, device=crops.device)  # 0 is COCO
    heat = network.model(crops, **told).heatmaps.float().cpu().numpy()  # (N, 17, h, w)
    found = np.zeros((*heat.shape[:2], 3), np.float32)
    last = np.array([heat.shape[3] - 1, heat.shape[2] - 1], np.float32)
    for i, (centre, extent) in enumerate(frames):
        for j, one in enumerate(heat[i]):
            found[i, j, :2] = peak_of(one) / last * extent + centre - extent / 2
            found[i, j, 2] = np.clip(one.max(), 0, 1)
    return found


def frame_of(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and extent (width, height) of the crop for a box: the shape of `CROP`, and some room around."""
    width, height = box[2:] - box[:2]
    shape = CROP[0] / CROP[1]
    extent = np.array([max(width, height * shape), max(height, width / shape)], np.float32) * PADDING
    return (box[:2] + box[2:]) / 2, extent


def cut(rgb: np.ndarray, frame: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The pixels of a frame, (256, 192, 3); what lies outside the picture is black."""
    import cv2

    centre, extent = frame
    scale = (np.array(CROP, np.float32) - 1) / extent
    move = scale * (extent / 2 - centre)
    matrix = np.array([[scale[0], 0, move[0]], [0, scale[1], move[1]]], np.float32)
    return cv2.warpAffine(np.ascontiguousarray(rgb), matrix, CROP, flags=cv2.INTER_LINEAR)


def peak_of(heat: np.ndarray) -> np.ndarray:
    """Where a heat map (h, w) has its peak, x and y with parts of a place.

    The logarithm of a blurred peak is a parabola; its top is one Newton step from the highest place (F. Zhang et al.,
    "Distribution-aware coordinate representation for human pose estimation", 2020).
    """
    import cv2

    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    smooth = cv2.GaussianBlur(heat, (11, 11), BLUR, borderType=cv2.BORDER_REFLECT)
    log = np.log(np.pad(smooth.clip(1e-3, 50), 1, mode="edge"))[y : y + 3, x : x + 3]
    slope = np.array([log[1, 2] - log[1, 0], log[2, 1] - log[0, 1]]) / 2
    xx, yy = log[1, 2] - 2 * log[1, 1] + log[1, 0], log[2, 1] - 2 * log[1, 1] + log[0, 1]
    xy = (log[2, 2] - log[0, 2] - log[2, 0] + log[0, 0]) / 4
    curve = xx * yy - xy * xy
    place = np.array([x, y], np.float32)
    if xx >= 0 or yy >= 0 or curve <= 1e-9:  # no top here
        return place
    step = np.array([yy * slope[0] - xy * slope[1], xx * slope[1] - xy * slope[0]]) / curve
    return place - step.clip(-1, 1).astype(np.float32)


def openpose_of_coco(joints: np.ndarray) -> np.ndarray:
    """OpenPose's 18 joints from COCO's 17.

    The neck, which COCO does not mark, is the middle of the shoulders, as sure as the less sure of them.

    Args:
        joints: (N, 17, 3), x, y and confidence.

    Returns:
        (N, 18, 3) float32.
    """
    people = joints[:, list(FROM_COCO)].astype(np.float32)
    pair = joints[:, list(SHOULDERS)]
    people[:, NECK, :2] = pair[..., :2].mean(axis=1)
    people[:, NECK, 2] = pair[..., 2].min(axis=1)
    return people
