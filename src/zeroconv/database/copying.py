"""From one database into a new one: every row, or none."""

import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from itertools import islice
from pathlib import Path

from zeroconv.database.interface import Change, Schema
from zeroconv.database.opening import create_database, database_exists, is_url
from zeroconv.database.snapshot import Snapshot
from zeroconv.errors import InputError

__all__ = ["copy_database", "require_absent", "tables_of"]

AT_ONCE = 500  # rows that are put in


def copy_database(
    source: Snapshot,
    place: str | Path,
    schema: Schema,
    without: Collection[str] = (),
    change: Callable[[Change], None] = lambda change: None,
) -> dict[str, int]:
    """A new database with all rows of another one, which is there when it is whole.

    A file and a server keep the same values, but for the letter NUL in texts, of which PostgreSQL makes U+FFFD.

    Args:
        source: of the same schema.
        place: as of `create_database`.
        schema: what both hold.
        without: tables that stay empty.
        change: made to the copy before it is there.

    Returns:
        How many rows were copied, by table.

    Raises:
        InputError: something is there already, or a database cannot be used.
        OSError: a database cannot be read or written.
        RuleError: a row breaks a rule of the tables.
    """
    counts: dict[str, int] = {}

    def fill(target: Change) -> None:
        for table, columns in tables_of(schema).items():
            if table in without:
                continue
            counts[table] = 0
            query = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            left = source.rows(f"SELECT {', '.join(columns)} FROM {table}")
            while rows := list(islice(left, AT_ONCE)):
                target.executemany(query, rows)
                counts[table] += len(rows)
        change(target)

    require_absent(place, schema)
    create_database(place, schema, fill).close()
    return counts


def require_absent(place: str | Path, schema: Schema) -> None:
    """That nothing is at a place.

    Raises:
        InputError: something is.
    """
    if not database_exists(place, schema):
        return
    if is_url(place):
        from zeroconv.database.postgres_tables import address_of, space_of

        address = address_of(str(place))
        hint = "put #NAME behind the address for another one beside it, or drop that schema with psql"
        raise InputError(f"{space_of(address, schema)} is there already, in {address}", field="to", hint=hint)
    raise InputError(f"{place} is there already", field="to", hint="move it away, or choose another name")


def tables_of(schema: Schema) -> dict[str, list[str]]:
    """The tables of a schema, in the order in which they are made, and the columns of each."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema.tables)
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]
        return {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}
