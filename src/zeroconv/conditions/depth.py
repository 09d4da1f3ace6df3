"""Depth, near = white: inverse distance, relative within the picture, as MiDaS gives it."""

import numpy as np
from PIL import Image

from zeroconv.conditions.contract import Condition, share_of

__all__ = ["DEPTH", "depth_agreement", "depth_map"]

NEAREST = 0.1  # metres; what is nearer counts as this near
TOP = 99  # the percentile of inverse distance that becomes white: single near pixels must not darken the rest


def depth_map(distance: np.ndarray) -> Image.Image:
    """A depth map from distances.

    Args:
        distance: (H, W), metres along the line of sight, infinity for the sky.
    """
    inverse = 1 / np.maximum(distance.astype(np.float32), NEAREST)  # the sky becomes 0
    top = max(float(np.percentile(inverse, TOP)), 1e-6)
    grey = (np.clip(inverse / top, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(np.repeat(grey[..., None], 3, axis=2))


def depth_agreement(image: Image.Image, condition: Image.Image) -> float:
    """Correlation of the inverse depth read back from a picture with its map, negative counted as 0: [0, 1].

    The picture is read by the embedded annotator, so pictures of the tiny world alone can be judged.
    """
    from zeroconv.conditions.annotator import GRID, annotate

    found = annotate(image).inverse_depth[0].numpy().ravel()
    wanted = np.asarray(condition.convert("L").resize((GRID, GRID), Image.Resampling.BOX), np.float32).ravel()
    if found.std() < 1e-6 or wanted.std() < 1e-6:
        return 1.0 if found.std() < 1e-6 and wanted.std() < 1e-6 else 0.0
    return max(0.0, float(np.corrcoef(found, wanted)[0, 1]))


def check(condition: Image.Image) -> list[str]:
    """Warnings for a depth map: colour, flatness, and a bright top over a dark ground."""
    if share_of(condition, lambda rgb: rgb.max(axis=2).astype(int) - rgb.min(axis=2) > 24) > 0.05:
        return ["this map has colours, expected grey levels with near = white"]
    grey = np.asarray(condition.convert("L"), np.float32)
    if grey.std() < 2:
        return ["this map is flat: every pixel has about the same depth"]
    third = len(grey) // 3
    top, ground = float(grey[:third].mean()), float(grey[-third:].mean()) if third else 0.0
    if top > ground + 64:
        return [f"this map looks inverted: the top is brighter ({top:.0f}) than the ground ({ground:.0f}); near = white"]
    return []


DEPTH = Condition(
    "depth",
    "distance, near = white",
    "RGB map of the picture's size, grey levels: near = white, far and sky = black, relative within the picture.",
    fidelity=depth_agreement,
    measure="depth correlation",
    check=check,
)
