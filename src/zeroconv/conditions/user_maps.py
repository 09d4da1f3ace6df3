"""The one place where a map that comes from a user is looked over, whatever door it came in by."""

from PIL import Image

from zeroconv.conditions.condition import Condition
from zeroconv.messages import tell

__all__ = ["check_user_map"]


def check_user_map(condition: Condition, image: Image.Image, source: str, given: Image.Image | None = None) -> None:
    """Tell what looks wrong about a map.

    Args:
        condition: whose map it should be.
        image: the map, as `condition.open_map` gives it.
        source: its name for people, such as the path.
        given: the map before it was fitted to another size, if it was: fitting draws lines and colours of its own, which may
            look like a map whatever they were made of.
    """
    said = [] if given is None or given is image else condition.check(given)
    told = {message.code for message in said}
    for message in [*said, *(message for message in condition.check(image) if message.code not in told)]:
        tell(message.about(source))
