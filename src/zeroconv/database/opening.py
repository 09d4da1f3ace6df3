"""Databases by the place where they are: a file, or the address of a PostgreSQL server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zeroconv.database.interface import Change, Database, Schema
from zeroconv.database.sqlite import SQLiteDatabase

__all__ = ["create_database", "database_exists", "is_url", "open_database"]

URLS = ("postgresql://", "postgres://")


def is_url(place: str | Path) -> bool:
    """Whether a place is the address of a server."""
    return str(place).startswith(URLS)


def server() -> Any:
    """The class of databases on a server."""
    from zeroconv.database.postgres import PostgresDatabase

    return PostgresDatabase


def open_database(place: str | Path, schema: Schema) -> Database:
    """A database that is there.

    Args:
        place: a file, or `postgresql://…`, with `#NAME` behind it where one server has several of a kind.
        schema: what it must hold.

    Raises:
        InputError: there is none, or it holds something else.
        OSError: it cannot be opened.
    """
    return server()(str(place), schema) if is_url(place) else SQLiteDatabase(Path(place), schema)


def create_database(place: str | Path, schema: Schema, fill: Callable[[Change], None] = lambda change: None) -> Database:
    """A new database, which is there when it is whole.

    Args:
        place: as of `open_database`; nothing may be there.
        schema: what it holds.
        fill: puts in what it holds at first.

    Raises:
        InputError: the server cannot be used.
        OSError: something is there already, or it cannot be written.
    """
    kind: Any = server() if is_url(place) else SQLiteDatabase
    return kind.create(str(place) if is_url(place) else Path(place), schema, fill)


def database_exists(place: str | Path, schema: Schema) -> bool:
    """Whether something is there already.

    Raises:
        InputError: the server cannot be used.
    """
    return server().exists(str(place), schema) if is_url(place) else Path(place).exists()
