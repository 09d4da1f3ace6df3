"""Folders of pairs, in the layouts people have."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zeroconv import conditions
from zeroconv.data.pairs import Pair, open_condition_map
from zeroconv.errors import InputError
from zeroconv.images import open_image

__all__ = ["CAPTION_KEYS", "FolderPairs", "Row", "open_folder", "read_rows"]

CAPTION_KEYS = ("text", "caption", "prompt")
MAP_KEYS = ("conditioning_image", "source")


@dataclass(frozen=True)
class Row:
    """Where one pair lies.

    Attributes:
        name: the picture's path inside the folder.
        image: the picture.
        caption: its prompt.
        maps: condition maps by name; "*" is a map whose condition the layout does not name.
    """

    name: str
    image: Path
    caption: str
    maps: Mapping[str, Path] = field(default_factory=dict[str, Path])


class FolderPairs:
    """Pairs of a folder, opened when asked for.

    Args:
        rows: where they lie.
        condition: the condition to be learnt: a map without a name of its own ("source") is taken to be one.
    """

    def __init__(self, rows: Sequence[Row], condition: str) -> None:
        self.rows, self.condition = rows, conditions.get(condition).name
        self.names: Sequence[str] = [row.name for row in rows]

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Pair:
        """Open pair `index`.

        Raises:
            InputError: when a file is not there or cannot be read, or the map has another size than the picture.
        """
        row = self.rows[index]
        path = row.maps.get(self.condition, row.maps.get("*"))
        try:
            image = open_image(row.image)
            found = None if path is None else open_condition_map(path, self.condition)
        except (FileNotFoundError, ValueError) as error:
            raise InputError(str(error), field="data.source") from error
        if found is None:
            return Pair(row.name, image, row.caption)
        if found.size != image.size:
            raise InputError(
                f"{path} is {found.size[0]}x{found.size[1]} and its picture {image.size[0]}x{image.size[1]}",
                field="data.source",
                hint="a map must have its picture's size",
            )
        return Pair(row.name, image, row.caption, {self.condition: found})


def open_folder(folder: Path, condition: str) -> FolderPairs:
    """The pairs of a folder: `prompt.json` lines (source, target, prompt) or `metadata.jsonl` (file_name, text, …).

    Raises:
        InputError: when the folder is not there, no layout is recognised, it is empty, or a line is broken.
    """
    return FolderPairs(read_rows(folder), condition)


def read_rows(folder: Path) -> list[Row]:
    """Every pair that a folder lists; the files themselves are not opened.

    Raises:
        InputError: as `open_folder`.
    """
    if not folder.is_dir():
        raise InputError(f"no data folder at {folder}; expected a folder, or world:COUNT", field="data.source")
    if (folder / "prompt.json").is_file():
        rows = [parse_tutorial_row(folder, line, where) for line, where in read_json_lines(folder / "prompt.json")]
    elif (folder / "metadata.jsonl").is_file():
        rows = [parse_metadata_row(folder, line, where) for line, where in read_json_lines(folder / "metadata.jsonl")]
    else:
        raise InputError(
            f"{folder} has neither metadata.jsonl (lines with file_name, text and a column per condition) "
            "nor prompt.json (lines with source, target, prompt)",
            field="data.source",
        )
    if not rows:
        raise InputError(f"{folder} lists no pairs", field="data.source")
    return rows


def read_json_lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The objects of a file of JSON lines, each with its place for messages.

    Raises:
        InputError: naming the line that is no JSON object.
    """
    # `splitlines` would also break a caption at the rarer line ends that JSON allows inside a string, such as U+2028.
    for number, line in enumerate(path.read_text("utf-8-sig", errors="replace").split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where} is not valid JSON", field="data.source") from error
            if not isinstance(value, dict):
                raise InputError(f"{where} is {type(value).__name__}; expected an object", field="data.source")
            yield value, where


def parse_tutorial_row(folder: Path, line: Mapping[str, Any], where: str) -> Row:
    """A line of the tutorial layout: source is the map, target the picture."""
    target, source = path_inside(folder, line, "target", where), path_inside(folder, line, "source", where)
    return Row(str(line["target"]), target, str(line.get("prompt") or ""), {"*": source})


def parse_metadata_row(folder: Path, line: Mapping[str, Any], where: str) -> Row:
    """A line of an image folder: `file_name`, a caption, and a column for each condition."""
    known = {**{name: name for name in conditions.names()}, **conditions.aliases(), **dict.fromkeys(MAP_KEYS, "*")}
    columns = {known[key]: path_inside(folder, line, key, where) for key in line if key in known and line[key] is not None}
    caption = next((str(line[key]) for key in CAPTION_KEYS if line.get(key) is not None), "")
    return Row(str(line.get("file_name")), path_inside(folder, line, "file_name", where), caption, columns)


def path_inside(folder: Path, line: Mapping[str, Any], key: str, where: str) -> Path:
    """The file that `line[key]` names.

    Raises:
        InputError: when there is no such key, or the path leads out of the folder.
    """
    value = line.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where} has no {key!r}; it has {', '.join(line) or 'nothing'}", field="data.source")
    path = folder / value
    if Path(value).is_absolute() or ".." in Path(value).parts:
        raise InputError(f"{where}: {key} is {value!r}; expected a path inside the folder", field="data.source")
    return path
