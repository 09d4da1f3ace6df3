"""Parquet files: captions are read whole, pictures row group by row group when they are opened."""

import bisect
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroconv.data.file_part import check_stamp, stamp_of
from zeroconv.data.tables import arrow_errors, field_of, has_field, import_arrow, kind_of
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["ParquetTable"]

KEPT = 512 * 2**20  # bytes of row groups that stay in memory, of all files together
LARGE = 32 * 2**20  # bytes of a row group that are much to read for one picture


class KeptGroups:
    """Columns of row groups that were read last.

    Args:
        limit: bytes that they may take; one larger than that is kept alone.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.arrays: dict[Hashable, Any] = {}

    def get(self, key: Hashable) -> Any:
        """What is kept under a key, from now on the last used; None if it is not."""
        found = self.arrays.pop(key, None)
        if found is not None:
            self.arrays[key] = found
        return found

    def put(self, key: Hashable, array: Any) -> None:
        """Keep one, and give up those that were not used for longest."""
        if (before := self.arrays.pop(key, None)) is not None:
            self.size -= before.nbytes
        self.arrays[key] = array
        self.size += array.nbytes
        while self.size > self.limit and len(self.arrays) > 1:
            self.size -= self.arrays.pop(next(iter(self.arrays))).nbytes


GROUPS = KeptGroups(KEPT)


class ParquetTable:
    """A parquet file as a `Table`.

    Args:
        file: where it lies.
        label: of its rows.

    Raises:
        InputError: when pyarrow is not installed, or the file cannot be read.
    """

    def __init__(self, file: Path, label: str) -> None:
        import_arrow(file)
        self.file, self.path, self.label = file, str(file), label
        with arrow_errors(file):
            self.stamp = stamp_of(file)
            with open_parquet(file) as found:
                self.names, self.metadata = found.schema_arrow, found.metadata
        groups = range(self.metadata.num_row_groups)
        self.starts = [0, *accumulate(self.metadata.row_group(group).num_rows for group in groups)]

    def open(self) -> "pq.ParquetFile":
        """The file, to be closed again; its footer is not read once more."""
        return open_parquet(self.file, self.metadata)

    def schema(self) -> "pa.Schema":
        """Names and types of its columns."""
        return self.names

    def read(self, names: Sequence[str]) -> Mapping[str, list[Any]]:
        """Columns of texts, whole."""
        with self.open() as file:
            table = file.read(columns=list(names))
        return {name: table.column(name).to_pylist() for name in names}

    def paths(self, name: str) -> list[str | None]:
        """What a column of {bytes, path} has for paths."""
        kind = self.names.field(name).type
        if not has_field(kind, "path"):
            return [None] * self.starts[-1]
        with self.open() as file:
            return field_of(file.read(columns=[f"{name}.path"]).column(name), "path").to_pylist()

    def leaf(self, name: str) -> str:
        """The path of a picture's bytes in the file's own schema."""
        return f"{name}.bytes" if kind_of(self.names.field(name).type) == "struct" else name

    def has_bytes(self, name: str) -> list[bool]:
        """Which rows have a picture's bytes in a column, from the statistics where they tell."""
        found, sizes = list[bool](), list[int]()
        for group in range(self.metadata.num_row_groups):
            rows = self.metadata.row_group(group).num_rows
            nulls, size = self.count_nulls(name, group)
            sizes.append(size)
            found += [nulls == 0] * rows if nulls in (0, rows) else self.read_group(name, group).is_valid().to_pylist()
        if sum(sizes) > KEPT and max(sizes) > LARGE:
            said = f"a row group has {max(sizes) / 2**20:.0f} MiB of pictures, all of which are read to open one"
            tell(Message(f"{self.path}: {said}: write row groups of 10 pictures, or tars", "data.large-row-groups"))
        return found

    def count_nulls(self, name: str, group: int) -> tuple[int | None, int]:
        """How many rows of a group have no picture, None where the file does not tell, and its size in bytes."""
        meta, leaf = self.metadata.row_group(group), self.leaf(name)
        places = [place for place in range(meta.num_columns) if meta.column(place).path_in_schema == leaf]
        if len(places) != 1:
            raise ValueError(f"row group {group} has {len(places)} columns {leaf!r}")
        column = meta.column(places[0])
        if column.physical_type != self.metadata.schema.column(places[0]).physical_type:
            raise ValueError(f"column {leaf!r} is of two types")  # asked for its statistics, pyarrow would end the process
        statistics = column.statistics if column.is_stats_set else None
        nulls = statistics.null_count if statistics is not None and statistics.has_null_count else None
        return nulls, column.total_uncompressed_size

    def read_group(self, name: str, group: int) -> Any:
        """The pictures of a row group, as a chunked array of bytes."""
        with self.open() as file:
            column = file.read_row_group(group, columns=[self.leaf(name)]).column(name)
        return field_of(column, "bytes") if kind_of(column.type) == "struct" else column

    def read_bytes(self, name: str, row: int) -> bytes:
        """A picture.

        Raises:
            InputError: when its row group cannot be read.
            ValueError: when the file has changed, or the row has no picture.
        """
        group = bisect.bisect_right(self.starts, row) - 1
        key = (self.path, self.stamp, name, group)
        check_stamp(self.file, self.stamp, self.path)
        if (array := GROUPS.get(key)) is None:
            with arrow_errors(self.path):
                array = self.read_group(name, group)
            GROUPS.put(key, array)
        place = row - self.starts[group]
        found = array[place].as_py() if place < len(array) else None
        if not isinstance(found, bytes):
            raise ValueError(f"{self.path}, row {row}, column {name!r} has no picture")
        return found


def open_parquet(file: Path, metadata: "pq.FileMetaData | None" = None) -> "pq.ParquetFile":
    """A parquet file, to be closed again.

    Args:
        file: where it lies.
        metadata: its footer, if it was read before.
    """
    import pyarrow.parquet as pq

    return pq.ParquetFile(file, metadata=metadata)
