"""All conditions by name, and `extract`."""

from typing import Any

from PIL import Image

from zeroconv.conditions.canny import CANNY
from zeroconv.conditions.contract import Condition
from zeroconv.conditions.depth import DEPTH
from zeroconv.conditions.inpaint import INPAINT
from zeroconv.conditions.lineart import LINEART
from zeroconv.conditions.lines import LINES
from zeroconv.conditions.normal import NORMAL
from zeroconv.conditions.pose import POSE
from zeroconv.conditions.scribble import SCRIBBLE
from zeroconv.conditions.segmentation import SEGMENTATION
from zeroconv.conditions.shuffle import SHUFFLE
from zeroconv.conditions.soft_edge import SOFT_EDGE
from zeroconv.conditions.tile import TILE

__all__ = ["ALIASES", "NAMES", "extract", "get"]

KNOWN = {
    condition.name: condition
    for condition in (
        CANNY, SOFT_EDGE, SCRIBBLE, LINES, POSE, SEGMENTATION, DEPTH, NORMAL, LINEART, SHUFFLE, TILE, INPAINT,
    )
}  # fmt: skip
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
    """The map of a picture: RGB, of the same size; of inpainting RGBA, transparent where the hole is.

    Args:
        name: which condition, such as "canny".
        image: any picture.
        **parameters: the extractor's own, such as `low` and `high`.

    Raises:
        ValueError: for an unknown name or parameter.
    """
    condition = get(name)
    assert condition.extract is not None, "every condition has an extractor"
    try:
        return condition.extract(image, **parameters)
    except TypeError as error:
        raise ValueError(f"{condition.name}: {error}") from error
