"""Tables of pictures as Hugging Face writes them: Arrow columns to rows, pictures read when they are opened."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from zeroconv.data.columns import CAPTIONS, Columns, plain
from zeroconv.data.file_part import Cell, check_stamp, stamp_of
from zeroconv.data.listing import Entry
from zeroconv.errors import InputError, shorten

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ArrowTable", "Table", "arrow_errors", "field_of", "has_field", "import_arrow", "kind_of", "read_table"]

EXTRA = "pip install 'zeroconv[datasets]'"


def import_arrow(path: object) -> ModuleType:
    """The package pyarrow, which is an extra.

    Args:
        path: what is to be read with it.

    Raises:
        InputError: when it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise InputError(f"{path} is read with pyarrow, which is not installed", field="data.source", hint=EXTRA) from error
    return pyarrow


@contextmanager
def arrow_errors(path: object) -> Generator[None]:
    """Every failure of pyarrow inside as one line.

    Raises:
        InputError: naming the file.
    """
    from pyarrow import ArrowException

    try:
        yield
    except InputError:
        raise
    except (ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        said = shorten(" ".join(str(error).split()), 200) or type(error).__name__
        raise InputError(
            f"{path} cannot be read: {said}", field="data.source", hint="copy it again, or write it anew"
        ) from error


class Table(Protocol):
    """A table whose pictures stay where they are until one is opened.

    Attributes:
        path: of its file, for messages.
        label: of its rows: their names begin with it.
    """

    path: str
    label: str

    def schema(self) -> "pa.Schema":
        """Names and types of its columns."""
        ...

    def read(self, names: Sequence[str]) -> Mapping[str, list[Any]]:
        """Columns of texts, whole."""
        ...

    def paths(self, name: str) -> list[str | None]:
        """What a column of {bytes, path} has for paths."""
        ...

    def has_bytes(self, name: str) -> list[bool]:
        """Which rows have a picture's bytes in a column."""
        ...

    def read_bytes(self, name: str, row: int) -> bytes:
        """A picture.

        Raises:
            OSError: or `ValueError`, when it cannot be read.
        """
        ...


@dataclass(frozen=True)
class Choice:
    """Which columns are read.

    Attributes:
        pictures: columns of pictures and maps, each with its kind: "bytes", "struct" or "path".
        texts: columns of captions.
        unknown: the others.
    """

    pictures: dict[str, str]
    texts: list[str]
    unknown: list[str]


def kind_of(kind: "pa.DataType") -> str | None:
    """How a column of this type holds pictures: as "bytes", a "struct" of bytes and path, or a "path"; None if it cannot."""
    from pyarrow import types

    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return "bytes"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind):
        return "path"  # or nothing in any row
    if types.is_dictionary(kind):
        return "path" if kind_of(kind.value_type) == "path" else None
    if types.is_struct(kind) and has_field(kind, "bytes"):
        parts = {kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)}
        holds_bytes = types.is_null(parts["bytes"]) or kind_of(parts["bytes"]) == "bytes"
        return "struct" if holds_bytes and ("path" not in parts or kind_of(parts["path"]) == "path") else None
    return None


def has_field(kind: "pa.DataType", key: str) -> bool:
    """Whether a type of structs has a part of this name."""
    return key in (kind.field(index).name for index in range(kind.num_fields))


def field_of(column: Any, key: str) -> Any:
    """A part of a chunked array of structs, null where the struct is."""
    kind = column.type
    return column.flatten()[[kind.field(index).name for index in range(kind.num_fields)].index(key)]


def choose_columns(table: Table, columns: Columns) -> Choice:
    """The columns that training uses.

    A picture's bytes count before a path to it: tables often have the picture's former name beside it.

    Raises:
        InputError: when there is no column of pictures, or one of another type.
    """
    schema = table.schema()
    kinds = {name: kind_of(schema.field(index).type) for index, name in enumerate(schema.names)}
    if len(kinds) < len(schema.names):
        raise InputError(f"{table.path} has two columns of one name; expected different names", field="data.source")
    known = {plain(name): name for name in kinds}
    named = [known[name] for name in columns.pictures if name in known]
    picture = next((name for name in named if kinds[name] in ("bytes", "struct")), named[0] if named else None)
    if picture is None:
        raise InputError(
            f"{table.path} has no column of pictures; it has {shorten(', '.join(kinds)) or 'none'}",
            field="data.source",
            hint="call it image, and a column of maps as its condition or conditioning_image",
        )
    maps = [name for name in kinds if name not in named and columns.map_name(name) is not None]
    for name in (picture, *maps):
        if kinds[name] is None:
            raise InputError(
                f"{table.path}: column {name!r} is of type {shorten(str(schema.field(name).type))}",
                field="data.source",
                hint="expected pictures as bytes, as {bytes, path}, or as paths",
            )
    texts = [name for name in kinds if plain(name) in CAPTIONS]
    used = {picture, *maps, *texts, *named}
    chosen = {name: kind for name in (picture, *maps) if (kind := kinds[name]) is not None}
    return Choice(chosen, texts, [name for name in kinds if name not in used])


def read_table(table: Table, columns: Columns) -> Iterator[Entry]:
    """The rows of a table, with a `Cell` for each picture in it.

    Raises:
        InputError: for a table that cannot be read or has no pictures, naming file and column.
    """
    with arrow_errors(table.path):
        choice = choose_columns(table, columns)
        for name in choice.unknown:
            columns.unknown.setdefault(name, table.path)
        paths = [name for name, kind in choice.pictures.items() if kind == "path"]
        values = dict(table.read([*choice.texts, *paths]))
        for name, kind in choice.pictures.items():
            if kind != "path":
                values[name] = list(cells_of(table, name, kind, first=name == next(iter(choice.pictures))))
        counts = {len(column) for column in values.values()}
        if len(counts) != 1:
            raise ValueError("its columns have different numbers of rows")
    for row in range(counts.pop()):
        yield {name: column[row] for name, column in values.items()}, f"{table.path}, row {row}"


def cells_of(table: Table, name: str, kind: str, first: bool) -> Iterator[Cell | str | None]:
    """A cell for each row with bytes, else its path, else None.

    Args:
        table: whose.
        name: of the column.
        kind: of the column.
        first: whether it holds the pictures themselves, which the rows are named by.
    """

    def read(row: int) -> bytes:
        return table.read_bytes(name, row)

    present = table.has_bytes(name)
    paths = table.paths(name) if kind == "struct" else [None] * len(present)
    for row, (is_there, path) in enumerate(zip(present, paths, strict=True)):
        label = f"{table.label}/{row}" if first else f"{table.label}/{row}/{name}"
        yield Cell(label, f"{table.path}, row {row}, column {name!r}", read, row) if is_there else path


class ArrowTable:
    """A table in memory, or mapped into it: any picture is found at once.

    Args:
        table: the table.
        path: of its file, for messages.
        label: of its rows.
        file: that is mapped; it is looked at before it is read, as a shorter one would end the process.
    """

    def __init__(self, table: "pa.Table", path: str, label: str, file: Path | None = None) -> None:
        self.table, self.path, self.label, self.file = table, path, label, file
        self.stamp = None if file is None else stamp_of(file)

    def schema(self) -> "pa.Schema":
        """Names and types of its columns."""
        return self.table.schema

    def read(self, names: Sequence[str]) -> Mapping[str, list[Any]]:
        """Columns of texts, whole."""
        return {name: self.column(name).to_pylist() for name in names}

    def column(self, name: str) -> Any:
        """A column whose inner structure was looked at: a damaged one would be read beyond its end."""
        column = self.table.column(name)
        column.validate(full=True)
        return column

    def paths(self, name: str) -> list[str | None]:
        """What a column of {bytes, path} has for paths."""
        column = self.column(name)
        return field_of(column, "path").to_pylist() if has_field(column.type, "path") else [None] * self.table.num_rows

    def has_bytes(self, name: str) -> list[bool]:
        """Which rows have a picture's bytes in a column."""
        column = self.column(name)
        return (field_of(column, "bytes") if kind_of(column.type) == "struct" else column).is_valid().to_pylist()

    def read_bytes(self, name: str, row: int) -> bytes:
        """A picture.

        Raises:
            OSError: when the file is not there any more.
            ValueError: when the file has changed, or the row has no picture.
        """
        if self.file is not None and self.stamp is not None:
            check_stamp(self.file, self.stamp, self.path)
        value = self.table.column(name)[row].as_py()
        found = value["bytes"] if isinstance(value, dict) else value
        if not isinstance(found, bytes):
            raise ValueError(f"{self.path}, row {row}, column {name!r} has no picture")
        return found
