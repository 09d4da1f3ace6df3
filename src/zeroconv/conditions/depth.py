"""Depth, near = white: inverse distance, relative within the picture, as MiDaS gives it."""

from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.contract import Condition, check_sizes, colourful
from zeroconv.conditions.weights import methods_of

__all__ = ["DEPTH", "depth", "depth_agreement", "depth_map", "inverse_depth"]

NEAREST = 0.1  # metres; what is nearer counts as this near
TOP = 99  # the percentile of inverse distance that becomes white: single near pixels must not darken the rest


def depth(image: Image.Image, method: str = "tiny", weights: str | Path | None = None, device: str = "cpu") -> Image.Image:
    """The depth map of a picture: RGB, grey levels, near = white, of the same size.

    Args:
        image: any picture.
        method: "tiny" (the embedded annotator, for pictures of the tiny world alone), "depth-anything" or "dpt".
        weights: a folder or hub id instead of the published one.
        device: where a learned network runs.

    Raises:
        ValueError: for an unknown method, or weights of another kind.
        FileNotFoundError: when weights are not here and cannot be fetched.
    """
    grey = (inverse_depth(image, method, weights, device) * 255).round().astype(np.uint8)
    return Image.fromarray(np.repeat(grey[..., None], 3, axis=2))


def inverse_depth(
    image: Image.Image, method: str = "tiny", weights: str | Path | None = None, device: str = "cpu", what: str = "depth"
) -> np.ndarray:
    """Relative inverse depth of a picture, (H, W) float32 in [0, 1], near = 1: see `depth`; `what` is for its errors."""
    if method not in (known := ("tiny", *methods_of("depth"))):
        raise ValueError(f"{what} method is {method!r}; expected one of {', '.join(known)}")
    if method != "tiny":
        from zeroconv.conditions.learned_depth import learned_depth

        return learned_depth(image, method, weights, device)
    from torch.nn import functional as F

    from zeroconv.conditions.annotator import annotate

    found = annotate(image).inverse_depth[None]  # (1, 1, 64, 64)
    size = (image.height, image.width)
    return F.interpolate(found, size=size, mode="bilinear", align_corners=False)[0, 0].clamp(0, 1).numpy()


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

    Raises:
        ValueError: when sizes differ.
    """
    from zeroconv.conditions.annotator import GRID, annotate

    check_sizes(image, condition)
    found = annotate(image).inverse_depth[0].numpy().ravel()
    wanted = np.asarray(condition.convert("L").resize((GRID, GRID), Image.Resampling.BOX), np.float32).ravel()
    if found.std() < 1e-6 or wanted.std() < 1e-6:
        return 1.0 if found.std() < 1e-6 and wanted.std() < 1e-6 else 0.0
    return max(0.0, float(np.corrcoef(found, wanted)[0, 1]))


def check(condition: Image.Image) -> list[str]:
    """Warnings for a depth map: colour, flatness, and, as a question, a bright top over a dark ground."""
    colour = colourful(condition)
    if colour > 0.05:
        return [f"this map has colours ({colour:.0%} of it; a colour scale?), expected grey levels with near = white"]
    grey = np.asarray(condition.convert("L"), np.float32)
    if grey.std() < 2:
        return ["this map is flat: every pixel has about the same depth"]
    third = max(1, len(grey) // 3)
    top, ground = float(grey[:third].mean()), float(grey[-third:].mean())
    if top > ground + 64:
        return [f"is this map inverted? Its top is brighter ({top:.0f}) than its ground ({ground:.0f}), but near is white"]
    return []


DEPTH = Condition(
    "depth",
    f"distance, near = white (method {', '.join(('tiny', *methods_of('depth')))})",
    "RGB map of the picture's size, grey levels: near = white, far and sky = black, relative within the picture.",
    depth,
    depth_agreement,
    measure="depth correlation",
    check=check,
    of_any_picture=False,
)
