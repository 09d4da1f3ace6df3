"""Tar shards in WebDataset's convention: the members of one sample share their path up to the first dot."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from zeroconv.data.columns import UNNAMED, Columns, plain
from zeroconv.data.file_part import FilePart
from zeroconv.data.folder_tree import PICTURES
from zeroconv.data.listing import Entry, tell_lost_letters
from zeroconv.data.tar_index import TEXTS, list_members
from zeroconv.errors import InputError, shorten

__all__ = ["expand_braces", "read_shards"]

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 100_000
CONDITIONS = ("cond", "condition")  # of a map whose condition is not named, beside the columns' names
PICTURE, CAPTION, CONDITION = "image", "text", "conditioning"


def expand_braces(spec: str) -> list[Path] | None:
    """The files that "shards-{000..003}.tar" stands for; None for a name without braces.

    Raises:
        InputError: for a range that runs down or names too many.
    """
    found = RANGE.search(spec)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + MOST_SHARDS or RANGE.search(spec, found.end()):
        raise InputError(
            f"{shorten(spec)}: expected one range such as {{000..003}}, of at most {MOST_SHARDS} files", field="data.source"
        )
    width = len(found[1])
    return [Path(f"{spec[: found.start()]}{number:0{width}d}{spec[found.end() :]}") for number in range(first, last + 1)]


def read_shards(paths: Sequence[Path], columns: Columns) -> Iterator[Entry]:
    """The samples of tars, in their order; nothing is extracted, each picture is read where it lies.

    ```
    0001.jpg    0001.canny.png or 0001.cond.png    0001.txt, 0001.caption or 0001.json with a caption inside
    ```

    Args:
        paths: of the tars.
        columns: what the words between dots mean.

    Raises:
        InputError: for a tar that `list_members` refuses, or a sample without a picture, naming it.
    """
    for path in paths:
        samples: dict[str, dict[str, Any]] = {}
        members, stamp = list_members(path)
        for member in members:
            tell_lost_letters(member.text or "", str(path / member.name))
            folder, slash, file = member.name.rpartition("/")
            key, _, ending = file.partition(".")
            if not key:  # hidden, such as the "._" files of macOS
                continue
            where = f"{path}, sample {shorten(folder + slash + key)!r}"
            sample = samples.setdefault(folder + slash + key, {})
            *words, last = ending.lower().split(".")
            if f".{last}" in PICTURES:
                column = column_of(".".join(words), columns)
                value: Any = FilePart(path, member.offset, member.size, f"{path.name}/{member.name}", stamp)
            elif last in TEXTS and not words:
                column, value = (last if last == "json" else CAPTION), member.text
            else:
                column, value = f".{ending}", member.name
            if column in sample:
                raise InputError(f"{where} has two members for its {column}", field="data.source", hint="rename one of them")
            sample[column] = value
        for key, sample in samples.items():
            where = f"{path}, sample {shorten(key)!r}"
            if (line := as_line(sample, columns, where)) is not None:
                yield line, where


def column_of(word: str, columns: Columns) -> str:
    """The column of a picture, by the word before its ending: none, or "canny" in "0001.canny.png"."""
    name = plain(word)
    if not name or name in columns.pictures:
        return PICTURE
    return CONDITION if name in CONDITIONS or columns.map_name(name) == UNNAMED else word


def as_line(sample: dict[str, Any], columns: Columns, where: str) -> dict[str, Any] | None:
    """The row of a sample; None where its members are nothing that training uses.

    Raises:
        InputError: when it has no picture, or its JSON is no object.
    """
    document = sample.pop("json", None)
    if PICTURE not in sample:
        if document is None and CAPTION not in sample and not any(isinstance(one, FilePart) for one in sample.values()):
            columns.note_unknown(sample, (), where)
            return None
        has = ", ".join(sample) or "json"
        raise InputError(
            f"{where} has no picture; it has {shorten(has)}", field="data.source", hint="name it KEY.png, .jpg or .webp"
        )
    if CAPTION in sample:
        sample[CAPTION] = " ".join(sample[CAPTION].split())
    elif document is not None:
        sample |= caption_in(document, columns, where)
    return sample


def caption_in(document: str, columns: Columns, where: str) -> dict[str, Any]:
    """The caption that a JSON object holds, under the names that columns have.

    Raises:
        InputError: when it is no object.
    """
    try:
        value = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: its json is not valid JSON", field="data.source") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: its json is {type(value).__name__}; expected an object", field="data.source")
    found = cast(dict[str, Any], value)
    key = columns.caption_key(found)
    return {} if key is None else {key: found[key]}
