"""The one place where a map that comes from a user is looked over, whatever door it came in by."""

from PIL import Image

from zeroconv.conditions.condition import Condition
from zeroconv.messages import tell

__all__ = ["check_user_map"]


def check_user_map(condition: Condition, image: Image.Image, source: str) -> None:
    """Tell what looks wrong about a map.

    Args:
        condition: whose map it should be.
        image: the map, as `condition.open_map` gives it.
        source: its name for people, such as the path.
    """
    for message in condition.check(image):
        tell(message.about(source))
