"""`manifest.jsonl`: what the maker of a folder of pictures says of each, one JSON object a line.

```
{"stem": "house-1", "prompt": "a red house on snow", "seed": 7, "map": "../maps/house-1.png", "condition": "canny", …}
```

`stem` is the picture's file name without its ending; the others may be left out, and whatever else a maker says is kept.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.data.listing import read_listing
from zeroconv.errors import InputError

__all__ = ["MANIFEST", "Entry", "read_manifest", "write_manifest"]

MANIFEST = "manifest.jsonl"
KEYS: dict[str, tuple[type, str]] = {
    "prompt": (str, "text"), "seed": (int, "a whole number"), "map": (str, "a path"), "condition": (str, "text"),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One picture as its maker describes it.

    Attributes:
        stem: the file name without its ending.
        prompt: it was made from; None where nobody says.
        seed: of its noise.
        map: the file of its map.
        condition: of that map.
        more: whatever else the maker says, such as steps and scale.
    """

    stem: str
    prompt: str | None = None
    seed: int | None = None
    map: Path | None = None
    condition: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_manifest(folder: Path) -> dict[str, Entry] | None:
    """The entries of a folder's manifest by stem, in its order; None where it has no manifest.

    Raises:
        InputError: naming the line that is broken, has no stem, or repeats one.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    found: dict[str, Entry] = {}
    for values, where in read_listing(path):
        entry = read_entry(folder, values, where)
        if entry.stem in found:
            raise InputError(f"{where}: {entry.stem!r} was listed before", field="folder")
        found[entry.stem] = entry
    if not found:
        raise InputError(f"{path} lists no pictures", field="folder")
    return found


def read_entry(folder: Path, values: Mapping[str, Any], where: str) -> Entry:
    """One line.

    Raises:
        InputError: when a value is of another kind, or a map lies neither in the folder nor beside it.
    """
    stem = values.get("stem")
    if not isinstance(stem, str) or not stem or stem != Path(stem).name:
        expected = "expected the picture's file name without its ending"
        raise InputError(f"{where}: the stem is {stem!r:.60}; {expected}", field="folder")
    for key, (kind, expected) in KEYS.items():
        value = values.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise InputError(f"{where}: {key} is {value!r:.60}; expected {expected}", field="folder")
    place = values.get("map")
    if place is not None:
        inside = folder.absolute().parent.resolve()
        if Path(place).is_absolute() or not (folder / place).resolve().is_relative_to(inside):
            expected = "expected a path inside the folder or the one it lies in"
            raise InputError(f"{where}: the map is {place!r:.80}; {expected}", field="folder")
    more = {key: value for key, value in values.items() if key != "stem" and key not in KEYS}
    given = {key: values.get(key) for key in ("prompt", "seed", "condition")}
    return Entry(stem, map=None if place is None else Path(os.path.normpath(folder / place)), more=more, **given)


def write_manifest(folder: Path, entries: Iterable[Entry]) -> None:
    """Write a folder's manifest, whole or not at all; maps are named relative to the folder.

    Raises:
        OSError: when it cannot be written.
    """
    lines: list[str] = []
    for entry in entries:
        place = None if entry.map is None else Path(os.path.relpath(entry.map, folder)).as_posix()
        values = {"stem": entry.stem, "prompt": entry.prompt, "seed": entry.seed, "map": place, "condition": entry.condition}
        values = {key: value for key, value in values.items() if value is not None}
        lines.append(json.dumps({**values, **entry.more}, ensure_ascii=False, allow_nan=False))
    write_text(folder / MANIFEST, "\n".join(lines) + "\n")
