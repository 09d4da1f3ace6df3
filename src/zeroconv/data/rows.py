"""A row of a data set: where a picture, its captions and its maps lie, before anything is opened."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zeroconv.data.columns import UNNAMED, Columns, picture_of, read_captions
from zeroconv.data.listing import Entry
from zeroconv.errors import InputError, shorten
from zeroconv.messages import Message, tell
from zeroconv.picture_files import PictureFile

__all__ = ["Row", "read_entries", "tell_repeated", "tell_unknown"]

SHOWN = 5  # columns that a message names


@dataclass(frozen=True)
class Row:
    """Where one pair lies.

    Attributes:
        name: unique in the data set, such as the picture's path inside the folder.
        image: the picture: a `Path`, or a part of a file that holds many.
        captions: its prompts; each visit of a training sees one of them.
        maps: condition maps by name; "*" is a map whose condition the layout does not name.
        where: the place in the list, for messages.
    """

    name: str
    image: PictureFile
    captions: tuple[str, ...] = ("",)
    maps: Mapping[str, PictureFile] = field(default_factory=dict[str, PictureFile])
    where: str = ""

    def find_maps(self, conditions: Sequence[str]) -> dict[str, PictureFile]:
        """The files of its maps by condition: each under its condition's name; of one condition also the one without a name.

        Args:
            conditions: the names of those that are wanted.

        Raises:
            InputError: when several are wanted, one has no map of its name, and there is a map without a name.
        """
        found = {name: self.maps[name] for name in conditions if name in self.maps}
        if UNNAMED in self.maps and len(found) < len(conditions):
            if len(conditions) > 1:
                missing, wanted = next(name for name in conditions if name not in found), " and ".join(conditions)
                raise InputError(
                    f"{self.where or self.name} has a map without the name of a condition, and {wanted} are wanted",
                    field="data.source",
                    hint=f"call the column, folder or member of each map as its condition, such as {missing}",
                )
            found[conditions[0]] = self.maps[UNNAMED]
        return found


def read_entries(
    entries: Iterable[Entry], columns: Columns, folder: Path, required: str | None = None, roots: Sequence[Path] = ()
) -> Iterator[Row]:
    """A row of each entry.

    Args:
        entries: of a list or a table; a picture is a path, a `Cell` or a `FilePart`.
        columns: what their keys mean.
        folder: that paths begin in, and may not leave.
        required: a key that every entry must have.
        roots: folders in which a path may lie too, if it is absolute.

    Raises:
        InputError: for an entry that is no row.
    """
    for line, where in entries:
        picture, caption = columns.picture_key(line), columns.caption_key(line)
        keys = columns.read_maps(line, picture)
        if required is not None and UNNAMED not in keys:
            keys[UNNAMED] = required
        image = picture_of(folder, line, picture, where, roots)
        maps = {name: picture_of(folder, line, key, where, roots) for name, key in keys.items()}
        captions = read_captions(line[caption], caption, where) if caption is not None else ()
        columns.note_unknown(line, (picture, caption, *keys.values()), where)
        named = line[picture]
        yield Row(named if isinstance(named, str) else image.name, image, captions or ("",), maps, where)


def tell_unknown(columns: Columns) -> None:
    """Say which columns nothing was made of."""
    if columns.unknown:
        named = [f"{shorten(key)!r} ({where})" for key, where in sorted(columns.unknown.items())]
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        text = f"columns that are not used: {', '.join(named[:SHOWN])}{more}; a column of maps is called as its condition"
        tell(Message(text, "data.unknown-column"))


def tell_repeated(rows: Sequence[Row]) -> None:
    """Say which pictures are listed more than once."""
    first: dict[PictureFile, Row] = {}
    again = [row for row in rows if first.setdefault(row.image, row) is not row]
    if again:
        row, before = again[0], first[again[0].image]
        count = f"{len(again)} pictures are listed again" if len(again) > 1 else "a picture is listed again"
        text = f"{row.where}: {row.name!r} was listed before ({before.where}); {count}"
        tell(Message(text, "data.duplicate"))
