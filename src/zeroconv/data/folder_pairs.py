"""Folders of pairs, in the layouts people have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zeroconv import conditions
from zeroconv.data.columns import UNNAMED, Columns, path_inside, read_captions
from zeroconv.data.folder_tree import find_files, read_caption_file
from zeroconv.data.listing import Entry, read_listing
from zeroconv.data.pairs import Pair, open_condition_map
from zeroconv.errors import InputError, shorten
from zeroconv.images import open_image
from zeroconv.messages import Message, tell

__all__ = ["FolderPairs", "Row", "open_folder", "read_rows"]

TUTORIAL, LISTS = "prompt.json", ("metadata.jsonl", "metadata.csv", "metadata.json")
SHOWN = 5  # columns or rows that a message names


@dataclass(frozen=True)
class Row:
    """Where one pair lies.

    Attributes:
        name: the picture's path inside the folder.
        image: the picture.
        captions: its prompts; each visit of a training sees one of them.
        maps: condition maps by name; "*" is a map whose condition the layout does not name.
        where: the place in the list, for messages.
    """

    name: str
    image: Path
    captions: tuple[str, ...] = ("",)
    maps: Mapping[str, Path] = field(default_factory=dict[str, Path])
    where: str = ""

    def find_map(self, condition: str) -> Path | None:
        """The file of its map: the one under the condition's name, else the one without a name."""
        return self.maps.get(condition, self.maps.get(UNNAMED))


class FolderPairs:
    """Pairs of a folder, opened when asked for.

    Args:
        rows: where they lie.
        condition: the condition to be learnt: a map without a name of its own ("source") is taken to be one.
    """

    def __init__(self, rows: Sequence[Row], condition: str) -> None:
        self.rows, self.condition = rows, conditions.get(condition).name
        self.names: Sequence[str] = [row.name for row in rows]
        self.max_captions = max((len(row.captions) for row in rows), default=1)

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Pair:
        """Open pair `index`.

        Raises:
            InputError: when a file is not there or cannot be read, or the map has another size than the picture.
        """
        row = self.rows[index]
        path = row.find_map(self.condition)
        try:
            image = open_image(row.image)
            found = None if path is None else open_condition_map(path, self.condition)
        except (OSError, ValueError) as error:
            raise InputError(str(error), field="data.source") from error
        if found is not None and found.size != image.size:
            raise InputError(
                f"{path} is {found.size[0]}x{found.size[1]} and its picture {image.size[0]}x{image.size[1]}",
                field="data.source",
                hint="a map must have its picture's size",
            )
        return Pair(row.name, image, row.captions[0], {} if found is None else {self.condition: found}, row.captions)


def open_folder(folder: Path, condition: str) -> FolderPairs:
    """The pairs of a folder in one of the layouts of `read_rows`.

    Raises:
        InputError: when the folder is not there, no layout is recognised, it is empty, or a line is broken.
    """
    return FolderPairs(read_rows(folder), condition)


def read_rows(folder: Path) -> list[Row]:
    """Every pair that a folder lists; the files themselves are not opened.

    The list is `prompt.json` (source, target, prompt), or `metadata.jsonl`, `metadata.csv` or `metadata.json` (file_name,
    text, a column per condition); without one, pictures have their captions in text files beside them. Columns that
    nothing is made of, and pictures listed twice, are told.

    Raises:
        InputError: as `open_folder`.
    """
    if not folder.is_dir():
        raise InputError(f"no data folder at {folder}; expected a folder, or world:COUNT", field="data.source")
    found = next((path for name in (TUTORIAL, *LISTS) if (path := folder / name).is_file()), None)
    rows = read_tree(folder) if found is None else read_list(folder, found)
    if not rows and found is None:
        raise InputError(
            f"{folder} has neither metadata.jsonl (lines with file_name, text and a column per condition) "
            "nor prompt.json (lines with source, target, prompt), metadata.csv, or pictures with captions in .txt files",
            field="data.source",
        )
    if not rows:
        raise InputError(f"{folder} lists no pairs", field="data.source")
    tell_repeated(rows)
    return rows


def read_list(folder: Path, path: Path) -> list[Row]:
    """The pairs of a list."""
    tutorial = path.name == TUTORIAL
    columns = Columns(("target",) if tutorial else ())
    rows = list(parse_rows(folder, read_listing(path), columns, "source" if tutorial else None))
    if columns.unknown:
        named = [f"{shorten(key)!r} ({where})" for key, where in sorted(columns.unknown.items())]
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        text = f"columns that are not used: {', '.join(named[:SHOWN])}{more}; a column of maps is called as its condition"
        tell(Message(text, "data.unknown-column"))
    return rows


def parse_rows(folder: Path, entries: Iterator[Entry], columns: Columns, required: str | None) -> Iterator[Row]:
    """A row of each entry.

    Args:
        folder: that the paths begin in.
        entries: of the list.
        columns: what its keys mean.
        required: a key that every entry must have.

    Raises:
        InputError: for an entry that is no row.
    """
    for line, where in entries:
        picture, caption = columns.picture_key(line), columns.caption_key(line)
        keys = columns.read_maps(line, picture)
        if required is not None and UNNAMED not in keys:
            keys[UNNAMED] = required
        image = path_inside(folder, line, picture, where)
        maps = {name: path_inside(folder, line, key, where) for name, key in keys.items()}
        captions = read_captions(line[caption], caption, where) if caption is not None else ()
        columns.note_unknown(line, (picture, caption, *keys.values()), where)
        yield Row(str(line[picture]), image, captions or ("",), maps, where)


def read_tree(folder: Path) -> list[Row]:
    """The pairs of a folder without a list."""
    return [
        Row(str(path.relative_to(folder)), path, (read_caption_file(path),), maps, str(path))
        for path, maps in find_files(folder)
    ]


def tell_repeated(rows: Sequence[Row]) -> None:
    """Say which pictures are listed more than once."""
    first: dict[Path, Row] = {}
    again = [row for row in rows if first.setdefault(row.image, row) is not row]
    if again:
        row, before = again[0], first[again[0].image]
        count = f"{len(again)} pictures are listed again" if len(again) > 1 else "a picture is listed again"
        text = f"{row.where}: {row.name!r} was listed before ({before.where}); {count}"
        tell(Message(text, "data.duplicate"))
