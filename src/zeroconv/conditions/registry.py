"""All conditions by name, and `extract`."""

from typing import Any

from PIL import Image

from zeroconv.conditions.canny import CANNY
from zeroconv.conditions.contract import Condition
from zeroconv.conditions.depth import DEPTH
from zeroconv.conditions.normal import NORMAL
from zeroconv.conditions.pose import POSE
from zeroconv.conditions.segmentation import SEGMENTATION

__all__ = ["ALIASES", "NAMES", "extract", "get"]

LINES = "RGB map of the picture's size: white strokes on black."
KNOWN = {
    condition.name: condition
    for condition in (
        CANNY,
        Condition("soft-edge", "soft edges (HED)", "RGB map of the picture's size: soft white edges on black."),
        Condition("scribble", "hand-drawn strokes", LINES),
        Condition("lines", "straight lines (M-LSD)", LINES),
        POSE,
        SEGMENTATION,
        DEPTH,
        NORMAL,
        Condition("lineart", "a drawing's lines", LINES),
        Condition("shuffle", "a picture's colours and content, shuffled", "RGB picture."),
        Condition("tile", "a small picture to be filled with detail", "RGB picture."),
        Condition("inpaint", "a picture with a hole", "RGBA picture, transparent where the hole is; the network reads -1."),
    )
}
NAMES = tuple(KNOWN)
ALIASES = {"hed": "soft-edge", "mlsd": "lines", "openpose": "pose", "seg": "segmentation"}


def get(name: str) -> Condition:
    """A condition by name or alias.

    Raises:
        ValueError: for an unknown name, listing the known ones.
    """
    found = KNOWN.get(ALIASES.get(name, name))
    if found is None:
        raise ValueError(f"unknown condition {name!r}; expected one of {', '.join(NAMES)}")
    return found


def extract(name: str, image: Image.Image, **parameters: Any) -> Image.Image:
    """The map of a picture: RGB, of the same size.

    Args:
        name: which condition, such as "canny".
        image: any picture.
        **parameters: the extractor's own, such as `low` and `high`.

    Raises:
        ValueError: for an unknown name or parameter, or a condition without an extractor in this version.
    """
    condition = get(name)
    if condition.extract is None:
        raise ValueError(
            f"{condition.name!r} cannot be extracted from a picture in this version: give a ready map. {condition.contract}"
        )
    try:
        return condition.extract(image, **parameters)
    except TypeError as error:
        raise ValueError(f"{condition.name}: {error}") from error
