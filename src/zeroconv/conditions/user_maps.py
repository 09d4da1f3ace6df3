"""The one place where a map that comes from a user is looked over, whatever door it came in by."""

from collections import Counter
from collections.abc import Iterable

from PIL import Image

from zeroconv.conditions.condition import Condition
from zeroconv.messages import Message, tell

__all__ = ["check_user_map", "check_user_maps"]


def check_user_map(condition: Condition, image: Image.Image, source: str) -> None:
    """Tell what looks wrong about a map.

    Args:
        condition: whose map it should be.
        image: the map, as `condition.open_map` gives it.
        source: its name for people, such as the path.
    """
    for message in condition.check(image):
        tell(message.about(source))


def check_user_maps(condition: Condition, named: Iterable[tuple[str, Image.Image]]) -> None:
    """Tell what looks wrong about many maps: each kind of oddity once, with how many have it and the first one's name.

    Args:
        condition: whose maps they should be.
        named: their names and the maps.
    """
    counts, firsts = Counter[str](), dict[str, tuple[str, Message]]()
    for name, image in named:
        for message in condition.check(image):
            counts[message.code] += 1
            firsts.setdefault(message.code, (name, message))
    for code, count in counts.items():
        name, message = firsts[code]
        tell(message.about(name if count == 1 else f"{count} maps, the first of them {name}"))
