"""Look at pairs before training on it: all that training would refuse, and maps that look wrong."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from zeroconv import conditions
from zeroconv.conditions.several import PLUS
from zeroconv.data.alignment import UNALIGNED, edge_energy, find_displaced, tell_displaced
from zeroconv.data.caption_statistics import CaptionStatistics, describe_captions
from zeroconv.data.columns import UNNAMED
from zeroconv.data.map_messages import MapMessages
from zeroconv.data.open import open_files
from zeroconv.data.pairs import open_condition_map
from zeroconv.data.readiness import inspect
from zeroconv.data.rows import Row
from zeroconv.images import open_image
from zeroconv.messages import Message, listen
from zeroconv.sheets import contact_sheet, overlay

__all__ = ["DataReport", "check"]

SHEET_PAIRS = 8
EXTRACTED = "canny, extracted: there is no map"


@dataclass
class DataReport:
    """What was found in a data set.

    Attributes:
        folder: where: a folder, a file, or whatever `--data` takes.
        condition: for which it was checked.
        pairs: pairs listed.
        good: pairs whose picture and maps can be read and have the size of most.
        empty_captions: pairs without a prompt.
        captions: numbers about all captions.
        sizes: how many pictures have each size, such as {"512x512": 40}.
        maps: how many maps there are for each condition.
        problems: one line for each pair that training leaves out, and each property of the whole that it refuses.
        messages: one for each kind of oddity, with how often it occurs and where first.
    """

    folder: str
    condition: str = ""
    pairs: int = 0
    good: int = 0
    empty_captions: int = 0
    captions: CaptionStatistics = field(default_factory=CaptionStatistics)
    sizes: Counter[str] = field(default_factory=Counter[str])
    maps: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])
    messages: list[Message] = field(default_factory=list[Message])

    @property
    def warnings(self) -> list[str]:
        """The sentences of the messages."""
        return [message.text for message in self.messages]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        # not asdict: in Python 3.11 it turns a Counter's items into a Counter of pairs
        messages = [message.to_json() for message in self.messages]
        return {
            **vars(self),
            "sizes": dict(self.sizes),
            "maps": dict(self.maps),
            "captions": asdict(self.captions),
            "messages": messages,
            "warnings": self.warnings,
        }


def check(source: str | Path, condition: str | None = None, held_out: int = 0) -> tuple[DataReport, Image.Image | None]:
    """Open every picture and map once.

    Args:
        source: as `open_pairs` takes it.
        condition: to be trained, which is what maps without a name of their own are ("source", "conditioning_image"); if
            left out, the one that the data names, or canny.
        held_out: pairs that training would hold out, one more than which it needs.

    Returns:
        The report, and a sheet of the first pairs: picture, each of its maps, and each over the picture. None when no pair
        is good.

    Raises:
        InputError: when there is no such data, or its layout is not understood.
    """
    told = list[Message]()
    with listen(told.append):
        pairs = open_files(source, condition)
    rows = pairs.rows
    ready = inspect(pairs, held_out)
    report = DataReport(str(source), pairs.condition, len(rows), messages=told)
    report.empty_captions = sum(not any(caption.strip() for caption in row.captions) for row in rows)
    report.captions = describe_captions(caption for row in rows for caption in row.captions)
    report.sizes = Counter({f"{width}x{height}": count for (width, height), count in ready.sizes.items()})
    problems, look = dict(ready.problems), Look(pairs.condition)
    for index, row in enumerate(rows):
        try:
            image, maps = look.open_row(row)
        except (OSError, ValueError) as error:
            problems.setdefault(index, str(error))
            continue
        wrong = next((key for key, found in maps.items() if found.size != image.size), None)
        if wrong is not None:
            found = maps[wrong]
            size = f"{found.width}x{found.height}, its picture {image.width}x{image.height}"
            problems.setdefault(index, f"{row.maps.get(wrong, row.maps.get(UNNAMED))} is {size} ({row.where})")
        if index not in problems:
            report.maps.update(maps.keys())
            look.add(row, image, maps)
    report.good = len(rows) - len(problems)
    report.problems = ready.general + [problems[index] for index in sorted(problems)]
    report.messages += look.messages()
    return report, look.sheet(Path(source).name)


class Look:
    """What the pictures and maps of good rows show.

    Args:
        unnamed: the condition of maps without a name; of several the maps have theirs.
    """

    def __init__(self, unnamed: str) -> None:
        self.unnamed = unnamed
        self.shown: list[tuple[Image.Image, dict[str, Image.Image]]] = []
        self.odd: dict[str, MapMessages] = {}
        self.edges: dict[str, list[tuple[str, Any, Any]]] = {}
        self.seen: dict[bytes, Row] = {}
        self.twins: list[tuple[Row, Row]] = []

    def open_row(self, row: Row) -> tuple[Image.Image, dict[str, Image.Image]]:
        """Picture and maps of a row, a map without a name as one of the condition asked for.

        Raises:
            OSError: or `ValueError`, when one cannot be read.
        """
        image = open_image(row.image)
        maps = {key: path for key, path in row.maps.items() if key != UNNAMED or PLUS not in self.unnamed}
        named = {self.unnamed if key == UNNAMED else key: path for key, path in maps.items()}
        named |= {key: path for key, path in row.maps.items() if key != UNNAMED}  # a name of its own counts for more
        return image, {key: open_condition_map(path, key) for key, path in named.items()}

    def add(self, row: Row, image: Image.Image, maps: dict[str, Image.Image]) -> None:
        """Look at one row."""
        with row.image.open("rb") as file:
            content = hashlib.blake2b(file.read(), digest_size=16).digest()
        before = self.seen.setdefault(content, row)
        if before is not row and before.image != row.image:
            self.twins.append((before, row))
        picture = edge_energy(image) if maps else None
        for key, found in maps.items():
            self.odd.setdefault(key, MapMessages(key)).add(row.name, found)
            if key not in UNALIGNED:
                self.edges.setdefault(key, []).append((row.name, picture, edge_energy(found, key)))
        if len(self.shown) < SHEET_PAIRS:
            self.shown.append((image, maps))

    def messages(self) -> list[Message]:
        """All that looks wrong, one message for each kind."""
        found = [message for odd in self.odd.values() for message in odd.messages()]
        for key, edges in self.edges.items():
            names, pictures, maps = (list(part) for part in zip(*edges, strict=True))
            found += tell_displaced(find_displaced(pictures, maps), names, key)
        return found + tell_twins(self.twins)

    def sheet(self, title: str) -> Image.Image | None:
        """The first rows to look at, one below the other in a column; None without any.

        The maps of the condition asked for come first. Where no row has a map, Canny edges are shown in their place.
        """
        if not self.shown:
            return None
        shown, titles = self.shown, dict[str, str]()
        if not any(maps for _, maps in shown):
            shown, titles = [(image, {"canny": conditions.extract("canny", image)}) for image, _ in shown], {"canny": EXTRACTED}
        asked = self.unnamed.split(PLUS)
        found = dict.fromkeys(key for _, maps in shown for key in maps)
        rows: dict[str, list[Image.Image | None]] = {"picture": [image for image, _ in shown]}
        for key in sorted(found, key=lambda key: asked.index(key) if key in asked else len(asked)):
            rows[titles.get(key, key)] = [maps.get(key) for _, maps in shown]
            rows[f"{key} over the picture"] = [overlay(image, maps[key]) if key in maps else None for image, maps in shown]
        return contact_sheet(list(rows.values()), row_titles=list(rows), title=title, cell=192)


def tell_twins(twins: Sequence[tuple[Row, Row]]) -> list[Message]:
    """One message about files of equal content."""
    if not twins:
        return []
    one, other = twins[0]
    count = f"{len(twins)} pictures have" if len(twins) > 1 else "a picture has"
    text = f"{count} the same content as an earlier one (first: {other.name!r} and {one.name!r})"
    return [Message(text, "data.duplicate")]
