"""Surface normals as colours, in the convention of ControlNet 1.1: blue front, red left, green top."""

import numpy as np
from PIL import Image

from zeroconv.conditions.contract import Condition

__all__ = ["NORMAL", "normal_map"]


def normal_map(normals: np.ndarray) -> Image.Image:
    """A normal map from unit vectors.

    Args:
        normals: (H, W, 3) in the camera's frame: x to the right, y up, z away from the camera; (0, 0, 0) for no
            surface (the sky), which becomes the colour of a surface that faces the camera.
    """
    x, y, z = np.moveaxis(normals.astype(np.float32), -1, 0)
    nothing = (x == 0) & (y == 0) & (z == 0)
    # red = left, green = top, blue = towards the camera
    colours = np.stack([-x, y, np.where(nothing, 1.0, -z)], axis=-1) * 0.5 + 0.5
    return Image.fromarray((colours * 255).round().clip(0, 255).astype(np.uint8))


NORMAL = Condition(
    "normal",
    "surface normals as colours",
    "RGB map of the picture's size: red = left, green = top, blue = towards the camera (ControlNet 1.1).",
)
