"""What stands on a PostgreSQL server: whether it can be used, and which tables are there, of which version."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zeroconv.database.address import EXPECTED, FIELD, Address, read_address
from zeroconv.database.dialect import make_row, translate_tables
from zeroconv.database.interface import Schema
from zeroconv.errors import InputError

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["address_of", "advance_numbers", "check_state", "first_connection", "space_of", "state"]

EXTRA = 'pip install "zeroconv[postgres]"'
OLDEST = 130000  # 13.0
HINTS = {
    "password authentication failed": "give the right one in the address, as PGPASSWORD, or in ~/.pgpass",
    "no password supplied": "give it in the address, as PGPASSWORD, or in ~/.pgpass",
    'database "': "make it first, with createdb",
    'role "': "make it first, with createuser",
    "connection option": EXPECTED,
    "resolve host": "is that its name?",
}
MARKS = re.compile(r"FATAL: |fe_sendauth: |connection is bad: |\[Errno -?\d+\] ")
"""What the library says before its reasons, which helps nobody."""


def address_of(url: str) -> Address:
    """The address, once the library is there.

    Raises:
        InputError: it is not, or the address is damaged.
    """
    try:
        import psycopg  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import psycopg_pool  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise InputError("PostgreSQL needs psycopg, which is not installed", field=FIELD, hint=EXTRA) from error
    return read_address(url)


def space_of(address: Address, schema: Schema) -> str:
    """The name of PostgreSQL's schema in which the tables are."""
    return f"zeroconv_{schema.short}{'_' if address.name else ''}{address.name}"


@contextmanager
def first_connection(address: Address) -> Generator["Connection[Any]"]:
    """A connection of its own, and every reason why there is none in one line.

    Raises:
        InputError: the server cannot be reached, does not let in, or is of another kind than is needed.
    """
    from psycopg import OperationalError, connect
    from psycopg import ProgrammingError as DamagedError

    try:
        connection = connect(**address.settings, autocommit=True, row_factory=make_row)  # pyright: ignore[reportArgumentType]
    except (OperationalError, DamagedError, UnicodeError) as error:
        said = address.clean(error).rpartition("failed: ")[2].partition(" Is the server running")[0]
        said = MARKS.sub("", said).strip()
        hint = next((hint for sign, hint in HINTS.items() if sign in str(error)), "is it running, and is that its address?")
        raise InputError(f"cannot use {address}: {said}", field=FIELD, hint=hint) from None
    with connection:
        if connection.info.server_version < OLDEST:
            got, least = connection.info.server_version // 10000, OLDEST // 10000
            raise InputError(f"{address} is PostgreSQL {got}; expected {least} or newer", field=FIELD)
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            hint = "make one with createdb --encoding UTF8 --template template0"
            raise InputError(f"{address} has the encoding {encoding}; expected UTF8", field=FIELD, hint=hint)
        yield connection  # pyright: ignore[reportReturnType]


def state(connection: "Connection[Any]", space: str) -> tuple[int, int, str] | None:
    """The mark, the version and the token of tables; None where there are none."""
    if connection.execute("SELECT to_regclass(%s)", (f"{space}.zeroconv",)).fetchone()[0] is None:  # pyright: ignore[reportOptionalSubscript]
        return None
    row = connection.execute(f"SELECT application, version, token FROM {space}.zeroconv".encode()).fetchone()
    return (0, 0, "") if row is None else (row[0], row[1], row[2])


def check_state(connection: "Connection[Any]", space: str, schema: Schema, found: tuple[int, int, str], place: str) -> str:
    """The token of tables, brought up to their version.

    Raises:
        InputError: they are of another kind or version.
    """
    if found[0] != schema.application:
        raise InputError(f"{space} in {place} is no {schema.name}", field=FIELD)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (schema.application,))
        connection.execute(f"SET LOCAL search_path TO {space}".encode())
        version: int = connection.execute("SELECT version FROM zeroconv").fetchone()[0]  # pyright: ignore[reportOptionalSubscript]
        while version in schema.upgrades:
            connection.execute(translate_tables(schema.upgrades[version]).encode())
            version += 1
            connection.execute("UPDATE zeroconv SET version = %s", (version,))
    if version != schema.version:
        message = f"{place} holds a {schema.name} of format {version}; expected format {schema.version}"
        raise InputError(message, field=FIELD, hint="use the version of zeroconv that made it")
    return found[2]


def advance_numbers(connection: "Connection[Any]", space: str) -> None:
    """Have the numbers that the server gives go on after those that rows were given."""
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s AND is_identity = 'YES'"
    for table, column in connection.execute(query, (space,)).fetchall():
        last = f"SELECT setval(pg_get_serial_sequence('{space}.{table}', '{column}'), max({column})) FROM {space}.{table}"
        connection.execute(f"{last} HAVING max({column}) > 0".encode())
