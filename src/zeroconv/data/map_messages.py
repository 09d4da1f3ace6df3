"""What looks wrong about the maps of many rows: one message for each kind, with a count and the first name."""

from PIL import Image

from zeroconv import conditions
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.pairs import open_condition_map
from zeroconv.messages import Message

__all__ = ["MapMessages", "look_at_maps"]


class MapMessages:
    """Messages of `Condition.check`, gathered by their codes.

    Args:
        condition: of the maps.
    """

    def __init__(self, condition: str) -> None:
        self.condition = conditions.get(condition)
        self.seen = 0
        self.counts: dict[str, int] = {}
        self.first: dict[str, tuple[str, Message]] = {}

    def add(self, name: str, found: Image.Image) -> None:
        """Check one row's map."""
        self.seen += 1
        for message in self.condition.check(found):
            self.counts[message.code] = self.counts.get(message.code, 0) + 1
            self.first.setdefault(message.code, (name, message))

    def messages(self) -> list[Message]:
        """One for each code, the most frequent first."""
        told: list[Message] = []
        for code in sorted(self.counts, key=self.counts.__getitem__, reverse=True):
            name, message = self.first[code]
            count = f"{self.counts[code]} of {self.seen} {self.condition.name} maps"
            told.append(Message(f"{count}, first that of {name!r}: {message.text}", code, message.level))
        return told


def look_at_maps(pairs: FolderPairs, count: int = 32) -> list[Message]:
    """What looks wrong about the maps of at most `count` pairs, spread over all.

    Raises:
        OSError: or `ValueError`, when one cannot be read.
    """
    found = {name: MapMessages(name) for name in pairs.wanted}
    rows = [(pairs.names[index], maps) for index in range(len(pairs)) if (maps := pairs.find_maps(index))]
    for name, maps in rows[:: max(1, -(-len(rows) // count))]:
        for condition, path in maps.items():
            found[condition].add(name, open_condition_map(path, condition))
    return [message for one in found.values() for message in one.messages()]
