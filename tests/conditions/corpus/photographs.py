"""Photographs that scikit-image ships, as they are and in part, with maps that no extractor here made."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from zeroconv.conditions.normal import normal_map, normals_from_depth
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.segmentation import segmentation_map

NAMES = (
    "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png", "camera.png",
    "coins.png", "clock_motion.png", "hubble_deep_field.jpg", "grass.png", "gravel.png", "brick.png", "retina.jpg", "ihc.png",
    "moon.png",
)  # fmt: skip
SIDE, PART = 384, 256  # pixels


def folder() -> Path:
    """Where the pictures lie; the package itself is not imported."""
    found = find_spec("skimage")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0], "data")


@cache
def photographs() -> list[Image.Image]:
    """Each whole, its longer side 384 px, and its middle, 256 x 256, at full detail."""
    made: list[Image.Image] = []
    for name in NAMES:
        whole = Image.open(folder() / name).convert("RGB")
        left, top = (whole.width - PART) // 2, (whole.height - PART) // 2
        part = whole.crop((left, top, left + PART, top + PART))
        whole.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        made += [whole, part]
    return made


@cache
def inverse_depth() -> list[np.ndarray]:
    """The measured disparity of the motorcycle (D. Scharstein et al., 2014), whole, in parts and mirrored: (H, W) in [0, 1]."""
    disparity = np.load(folder() / "motorcycle_disp.npz")["arr_0"].astype(np.float32)
    unseen = ~np.isfinite(disparity)
    columns = np.maximum.accumulate(np.where(unseen, 0, np.arange(disparity.shape[1])), axis=1)  # the last one seen in its row
    disparity[unseen] = 0
    filled = np.take_along_axis(disparity, columns, axis=1) / disparity.max()
    views = [filled, filled[:, ::-1], filled[:400, :400], filled[60:, 200:], filled[100:420, 300:620]]
    return [cv2.resize(np.ascontiguousarray(view), (SIDE, SIDE * view.shape[0] // view.shape[1])) for view in views]


def depth_maps() -> list[Image.Image]:
    """As depth: as measured, and blurred as a network would have it."""
    made: list[Image.Image] = []
    for inverse in inverse_depth():
        for sigma in (0.1, 2.0):
            grey = cv2.GaussianBlur(inverse, (0, 0), sigma)
            made.append(Image.fromarray((grey / grey.max() * 255).round().astype(np.uint8)).convert("RGB"))
    return made


def normal_maps() -> list[Image.Image]:
    """As normals of the smoothed depth."""
    return [normal_map(normals_from_depth(cv2.GaussianBlur(inverse, (0, 0), 4.0))) for inverse in inverse_depth()]


@cache
def segmentation_maps() -> list[Image.Image]:
    """Regions of alike colours as classes: ragged outlines and specks, as networks give them."""
    made: list[Image.Image] = []
    for number, picture in enumerate(photographs()):
        smooth = cv2.medianBlur(np.asarray(picture), 7)
        rng = np.random.default_rng(number)
        colours = smooth.reshape(-1, 3)[rng.integers(0, smooth.shape[0] * smooth.shape[1], 8)].astype(np.int32)
        nearest = np.square(smooth[:, :, None].astype(np.int32) - colours).sum(-1).argmin(-1)
        made.append(segmentation_map(rng.permutation(150)[:8][nearest]))
    return made


def pose_maps() -> list[Image.Image]:
    """The astronaut's joints as somebody marked them on the photograph, 512 x 512, and the camera man's."""
    astronaut = {
        0: (226, 122), 1: (225, 220), 2: (135, 235), 3: (75, 370), 5: (315, 225), 6: (400, 340), 14: (208, 105),
        15: (245, 105), 16: (185, 118), 17: (270, 112), 8: (175, 480), 11: (290, 480),
    }  # fmt: skip
    camera_man = {
        0: (240, 120), 1: (190, 165), 2: (150, 175), 3: (150, 260), 4: (235, 280), 5: (225, 170), 6: (250, 240),
        7: (270, 215), 8: (165, 330), 9: (165, 420), 10: (140, 490), 11: (215, 330), 12: (240, 410), 13: (240, 490),
        14: (235, 110), 16: (215, 112),
    }  # fmt: skip
    made: list[Image.Image] = []
    for marked in (astronaut, camera_man):
        joints = np.zeros((18, 3))
        for joint, place in marked.items():
            joints[joint] = (*place, 1)
        for side in (256, 512, 1024):
            made.append(draw_pose(joints * [side / 512, side / 512, 1], (side, side)))
    return made
