"""All rows of a database as they stand at one moment, read without a change to it and without keeping anybody waiting."""

import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeroconv.database.interface import Schema
from zeroconv.database.opening import database_exists, is_url
from zeroconv.database.sqlite import SQLiteDatabase, check_application, in_one_line
from zeroconv.errors import InputError

__all__ = ["Snapshot", "is_there", "open_snapshot"]

AT_ONCE = 500  # rows that a server sends
APPLICATION = slice(68, 72)  # in the header of SQLite's files


@dataclass(frozen=True)
class Snapshot:
    """What a database holds at one moment.

    Attributes:
        rows: the rows of a query without values, one after the other.
        token: the name of the database; empty for a file.
        clock: SQL for the seconds since 1970.
    """

    rows: Callable[[str], Iterator[Sequence[Any]]]
    token: str
    clock: str


def is_there(place: str | Path, schema: Schema) -> bool:
    """Whether a place holds what a schema says, of whatever version.

    Raises:
        InputError: the server cannot be used.
        OSError: the file cannot be read.
    """
    if is_url(place):
        return database_exists(place, schema)
    if not Path(place).is_file():
        return False
    with Path(place).open("rb") as file:
        return file.read(APPLICATION.stop)[APPLICATION] == schema.application.to_bytes(4, "big")


@contextmanager
def open_snapshot(place: str | Path, schema: Schema) -> Generator[Snapshot]:
    """Read what a place holds now; what is changed meanwhile is not seen.

    Args:
        place: as of `open_database`.
        schema: what it must hold.

    Raises:
        InputError: there is none, or it holds something else.
        OSError: it cannot be read.
    """
    with server_snapshot(str(place), schema) if is_url(place) else file_snapshot(Path(place), schema) as snapshot:
        yield snapshot


@contextmanager
def file_snapshot(path: Path, schema: Schema) -> Generator[Snapshot]:
    """Of a file, which is opened to be read alone."""
    if not path.is_file():
        raise InputError(f"there is no {schema.name} at {path}", field="path")
    name = f"{path.absolute().as_uri()}?mode=ro"
    with in_one_line(path, schema), closing(sqlite3.connect(name, isolation_level=None, uri=True)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("BEGIN")
        if (version := check_application(connection, path, schema)) != schema.version:
            raise wrong_version(str(path), schema, version)
        yield Snapshot(lambda query: iter(connection.execute(query)), SQLiteDatabase.token, SQLiteDatabase.clock)


@contextmanager
def server_snapshot(url: str, schema: Schema) -> Generator[Snapshot]:
    """Of tables on a server."""
    from zeroconv.database.postgres import PostgresDatabase
    from zeroconv.database.postgres_tables import address_of, first_connection, space_of, state

    address = address_of(url)
    from psycopg import Error
    from psycopg.rows import tuple_row

    space = space_of(address, schema)
    with first_connection(address) as connection:

        def rows(query: str) -> Iterator[Sequence[Any]]:
            with connection.cursor("rows", row_factory=tuple_row) as cursor:
                cursor.itersize = AT_ONCE
                yield from cursor.execute(query.encode())

        try:
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                found = state(connection, space)
                if found is None:
                    raise InputError(f"there is no {schema.name} in {address}", field="database")
                if found[0] != schema.application:
                    raise InputError(f"{space} in {address} is no {schema.name}", field="database")
                if found[1] != schema.version:
                    raise wrong_version(str(address), schema, found[1])
                connection.execute(f"SET LOCAL search_path TO {space}".encode())
                yield Snapshot(rows, found[2], PostgresDatabase.clock)
        except Error as error:
            raise OSError(f"cannot use {address}: {address.clean(error)}") from None


def wrong_version(place: str, schema: Schema, version: int) -> InputError:
    """The error for tables of another version, which a reader does not bring up."""
    message = f"{place} holds a {schema.name} of format {version}; expected format {schema.version}"
    hint = "serve it once, which brings it up" if version in schema.upgrades else "use the version of zeroconv that made it"
    return InputError(message, field="path", hint=hint)
