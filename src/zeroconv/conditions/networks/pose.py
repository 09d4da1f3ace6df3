"""Human pose by published networks: RT-DETR finds people, ViTPose or Sapiens2 their joints, which get OpenPose's order."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zeroconv.conditions.networks.batching import run_in_batches
from zeroconv.conditions.networks.transformers import Network, normalize, open_network, to_input
from zeroconv.conditions.networks.weights import PERSON_DETECTOR, WEIGHTS
from zeroconv.conditions.openpose.keypoints import People

__all__ = ["LAYOUTS", "Layout", "learned_people", "people_from_points"]


@dataclass(frozen=True)
class Layout:
    """Which of a network's points is which of ours, -1 for those that it does not mark.

    Attributes:
        body: each of OpenPose's 18 joints; the neck is always -1, see `people_from_points`.
        hands: of the left and the right hand, 21 each; empty where the network marks none.
        face: 70 points; empty where the network marks none.
    """

    body: tuple[int, ...]
    hands: tuple[tuple[int, ...], ...] = ()
    face: tuple[int, ...] = ()


COCO = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
# Sapiens2 numbers a hand from the tip of the thumb to the root of the little finger, its wrist last.
FINGERS = (20, *(4 * finger + 3 - joint for finger in range(5) for joint in range(4)))
# Of Sapiens2's 238 points of a face those that are, or lie nearest to, iBUG's: brows, nose, eyes, lips and the tip of the
# chin. It marks no outline of the jaw. On a line of the face its midpoints are numbered from the left of the picture on:
# so they stand in its list on the eyelids, between the ends, and so they are paired there for mirroring.
SAPIENS_FACE = (
    *[-1] * 8, 77, *[-1] * 8, 80, 83, 81, 84, 78, 87, 92, 90, 93, 89, 71, 73, 72, 178, 180, 182, 179, 185, 181,
    121, 123, 124, 120, 165, 164, 96, 100, 99, 97, 147, 148, 188, 196, 197, 190, 198, 199, 189, 203, 202, 191, 201, 200,
    204, 208, 206, 209, 205, 211, 207, 210, 281, 272,
)  # fmt: skip
LAYOUTS = {
    17: Layout(COCO),
    133: Layout(COCO, (tuple(range(91, 112)), tuple(range(112, 133))), (*range(23, 91), -1, -1)),
    308: Layout(
        (0, -1, 6, 8, 41, 5, 7, 62, 10, 12, 14, 9, 11, 13, 2, 1, 4, 3),
        (tuple(42 + i for i in FINGERS), tuple(21 + i for i in FINGERS)),
        SAPIENS_FACE,
    ),
}
"""By number of points: COCO's, COCO-WholeBody's (S. Jin et al., 2020), and Sociopticon's as Sapiens2 has them.

Sources: https://cocodataset.org/#keypoints-2020, https://github.com/jin-s13/COCO-WholeBody and the file
`keypoints308.py` of https://github.com/facebookresearch/sapiens2.
"""
NECK, SHOULDERS = 1, (2, 5)
SHAPE = 3 / 4  # width of a frame as a share of its height
PADDING = 1.25  # a frame is wider and higher than its box
MOST = 32  # people in one picture
BLURS = {"vitpose": 0.8, "sapiens2": 2.0}  # of a heat map before its peak is located, in its places


@torch.inference_mode()
def learned_people(
    image: Image.Image,
    method: str = "vitpose",
    weights: str | Path | None = None,
    detector: str | Path | None = None,
    threshold: float = 0.3,
    device: str = "cpu",
) -> People:
    """The people of a picture, with hands and faces where the network marks them.

    Args:
        image: any picture.
        method: "vitpose" or "sapiens2".
        weights: of the method: a folder or hub id instead of the published one.
        detector: of RT-DETR, likewise.
        threshold: confidence in [0, 1] from which a person or a point is believed; other points are 0.
        device: where the networks run.

    Raises:
        FileNotFoundError: when weights are not here and cannot be fetched.
        ValueError: when they are of another kind.
    """
    finder = open_network(PERSON_DETECTOR, detector, device)
    reader = open_network(method if method in WEIGHTS else f"{method}-pose", weights, device)
    count = reader.model.config.num_labels
    if count not in LAYOUTS:
        raise ValueError(f"the weights in {reader.folder} mark {count} points; expected {', '.join(map(str, LAYOUTS))}")
    boxes = person_boxes(finder, image, threshold)
    points = estimate_points(reader, np.asarray(image.convert("RGB")), boxes) if len(boxes) else np.zeros((0, count, 3))
    return people_from_points(points).drop_uncertain(threshold)


def person_boxes(network: Network, image: Image.Image, threshold: float) -> np.ndarray:
    """Boxes of people, the surest first: (N, 4) left, top, right, bottom in pixels."""
    output = network.model(to_input(image, network))
    names: dict[int, str] = network.model.config.id2label
    person = next((index for index, name in names.items() if name == "person"), 0)
    scores = output.logits[0, :, int(person)].sigmoid().float().cpu().numpy()
    x, y, width, height = output.pred_boxes[0].float().cpu().numpy().T
    corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    boxes = corners.clip(0, 1) * np.tile(image.size, 2)
    order = np.argsort(-scores, kind="stable")
    smallest = np.min(boxes[:, 2:] - boxes[:, :2], axis=1)
    return boxes[[i for i in order if scores[i] >= threshold and smallest[i] >= 1][:MOST]].astype(np.float32).reshape(-1, 4)


def estimate_points(network: Network, rgb: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """A network's K points in each box: (N, K, 3), x and y in pixels of the picture and confidence."""
    frames = [frame_around(box) for box in boxes]
    size, model = network.recipe.frame, network.model

    def predict_heatmaps(crops: Tensor) -> Tensor:
        """Heat maps, (B, K, h, w)."""
        inputs: dict[str, Any] = {}
        if getattr(getattr(model.config, "backbone_config", None), "num_experts", 1) > 1:
            inputs["dataset_index"] = torch.zeros(len(crops), dtype=torch.long, device=crops.device)  # 0 is COCO
        return model(crops, **inputs).heatmaps.float().cpu()

    crops = [normalize(crop_frame(rgb, frame, size), network.recipe)[None].to(model.device) for frame in frames]
    blur = BLURS[model.config.model_type]
    found: list[np.ndarray] = []
    for (centre, extent), heat in zip(frames, run_in_batches(crops, predict_heatmaps), strict=True):
        last = np.array([heat.shape[3] - 1, heat.shape[2] - 1], np.float32)
        places = np.array([locate_peak(one, blur) for one in heat[0].numpy()]) / last * extent + centre - extent / 2
        found.append(np.concatenate([places, heat[0].amax((1, 2))[:, None].clamp(0, 1).numpy()], axis=1))
    return np.array(found, np.float32)


def frame_around(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and extent (width, height) of the frame for a box: upright, 3 : 4, with some room around."""
    width, height = box[2:] - box[:2]
    extent = np.array([max(width, height * SHAPE), max(height, width / SHAPE)], np.float32) * PADDING
    return (box[:2] + box[2:]) / 2, extent


def crop_frame(rgb: np.ndarray, frame: tuple[np.ndarray, np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """The pixels of a frame at a size (width, height); what lies outside the picture is black."""
    import cv2

    centre, extent = frame
    scale = (np.array(size, np.float32) - 1) / extent
    move = scale * (extent / 2 - centre)
    matrix = np.array([[scale[0], 0, move[0]], [0, scale[1], move[1]]], np.float32)
    return cv2.warpAffine(np.ascontiguousarray(rgb), matrix, size, flags=cv2.INTER_LINEAR)


def locate_peak(heat: np.ndarray, blur: float) -> np.ndarray:
    """Where a heat map (h, w) has its peak, x and y with parts of a place; `blur` is in places.

    The logarithm of a blurred peak is a parabola; its top is one Newton step from the highest place (F. Zhang et al.,
    "Distribution-aware coordinate representation for human pose estimation", 2020).
    """
    import cv2

    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    # what the kernel of 11 x 11 sees from the peak's neighbours
    near = cv2.copyMakeBorder(heat, 6, 6, 6, 6, cv2.BORDER_REFLECT)[y : y + 13, x : x + 13]
    log = np.log(cv2.GaussianBlur(near, (11, 11), blur)[5:8, 5:8].clip(1e-3, 50))
    slope = np.array([log[1, 2] - log[1, 0], log[2, 1] - log[0, 1]]) / 2
    xx, yy = log[1, 2] - 2 * log[1, 1] + log[1, 0], log[2, 1] - 2 * log[1, 1] + log[0, 1]
    xy = (log[2, 2] - log[0, 2] - log[2, 0] + log[0, 0]) / 4
    curve = xx * yy - xy * xy
    place = np.array([x, y], np.float32)
    if xx >= 0 or yy >= 0 or curve <= 1e-9:  # no top here
        return place
    step = np.array([yy * slope[0] - xy * slope[1], xx * slope[1] - xy * slope[0]]) / curve
    return place - step.clip(-1, 1).astype(np.float32)


def people_from_points(points: np.ndarray) -> People:
    """People from a network's points, (N, K, 3) with K as in `LAYOUTS`: x, y and confidence.

    The neck, which COCO does not mark and Sapiens2 marks elsewhere, is the middle of the shoulders, as sure as the less
    sure of them.
    """
    layout = LAYOUTS[points.shape[1]]
    known = np.concatenate([points, np.zeros((len(points), 1, 3))], axis=1).astype(np.float32)  # what is not marked, -1, is 0
    body = known[:, layout.body]
    pair = body[:, SHOULDERS]
    body[:, NECK, :2], body[:, NECK, 2] = pair[..., :2].mean(axis=1), pair[..., 2].min(axis=1)
    hands, face = (known[:, np.array(part)] if part else None for part in (layout.hands, layout.face))
    return People(body, hands, face)
