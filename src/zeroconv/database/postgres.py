"""Tables on a PostgreSQL server, for several machines: the same SQL and the same order of changes as in a file."""

import errno
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from zeroconv.database.address import FIELD, Address
from zeroconv.database.dialect import PostgresRow, bind, make_row, translate, translate_tables
from zeroconv.database.interface import AwayError, Change, RuleError, Schema
from zeroconv.database.postgres_tables import address_of, advance_numbers, check_state, first_connection, space_of, state
from zeroconv.errors import InputError

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["PostgresDatabase"]

PATIENCE = 20.0  # seconds that something waits for a connection, or for the change of another process
BRIEF = 1.0  # seconds that it waits where the server has been away for longer than that, so that every answer is soon
RECONNECTING = 5.0  # seconds of tries, which follow each other ever more slowly, before they are begun anew
CONNECTIONS = 8  # of a process
LOST = ("08", "57P")
"""How states of PostgreSQL begin that say that a connection ends."""
LOG = logging.getLogger(__name__)
SETTINGS = (
    "SET client_min_messages = warning",
    "SET synchronous_commit = on",  # what was answered survives the server's machine, too
    "SET statement_timeout = '60s'",
    f"SET lock_timeout = '{PATIENCE:.0f}s'",
)


class PostgresDatabase:
    """Tables in a schema of a PostgreSQL database. Threads and machines may share it.

    Changes of one kind of tables take turns, as those of a file do. A connection that was lost is replaced, and what only
    reads is begun again.

    Args:
        url: `postgresql://…`, with `#NAME` behind it where there are several of a kind.
        schema: what the tables must be.

    Raises:
        InputError: the server, the database or the tables cannot be used.
    """

    clock = "extract(epoch FROM clock_timestamp())::double precision"
    is_shared = True

    def __init__(self, url: str, schema: Schema) -> None:
        self.schema, self.address = schema, address_of(url)
        self.space, self.lock = space_of(self.address, schema), threading.Lock()
        self.is_away, self.lost_at = False, float("-inf")  # now, and since when or when last, of `time.monotonic`
        self.made_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()  # of each connection
        with first_connection(self.address) as connection:
            found = state(connection, self.space)
            if found is None:
                raise InputError(f"there is no {schema.name} in {self.address}", field=FIELD)
            self.token = check_state(connection, self.space, schema, found, str(self.address))
        self.pool: Any = open_pool(self.address, self.space, self.note_made, self.check)

    @classmethod
    def exists(cls, url: str, schema: Schema) -> bool:
        """Whether the tables are there."""
        address = address_of(url)
        with first_connection(address) as connection:
            return state(connection, space_of(address, schema)) is not None

    @classmethod
    def create(cls, url: str, schema: Schema, fill: Callable[[Change], None] = lambda change: None) -> "PostgresDatabase":
        """Make the tables, and what they hold at first, at once.

        Raises:
            InputError: the server or the database cannot be used.
            FileExistsError: they are there already.
        """
        from psycopg import Error
        from psycopg.errors import InsufficientPrivilege

        address = address_of(url)
        space = space_of(address, schema)
        try:
            with first_connection(address) as connection, connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (schema.application,))
                if state(connection, space) is not None:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), f"{schema.name} in {address}")
                if connection.execute("SELECT to_regnamespace(%s)", (space,)).fetchone()[0] is None:  # pyright: ignore[reportOptionalSubscript]
                    connection.execute(f"CREATE SCHEMA {space}".encode())
                connection.execute(f"SET LOCAL search_path TO {space}".encode())
                connection.execute(b"CREATE TABLE zeroconv (application BIGINT, version BIGINT, token TEXT)")
                values = (schema.application, schema.version, secrets.token_hex(16))
                connection.execute("INSERT INTO zeroconv VALUES (%s, %s, %s)", values)
                connection.execute(translate_tables(schema.tables).encode())
                fill(PostgresChange(connection))
                advance_numbers(connection, space)
        except InsufficientPrivilege as error:
            hint = f"let {address.settings.get('user') or 'this user'} make schemas: GRANT CREATE ON DATABASE … TO …"
            raise InputError(f"{address}: {address.clean(error)}", field=FIELD, hint=hint) from None
        except Error as error:
            raise OSError(f"cannot use {address}: {address.clean(error)}") from None
        return cls(url, schema)

    def __str__(self) -> str:
        return f"{self.space} in {self.address}"

    def __enter__(self) -> "PostgresDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the server."""
        self.pool.close()

    def read(self, query: str, *values: Any) -> list[PostgresRow]:
        """See `Database.read`."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with self.connection() as connection:
                    return connection.execute(translate(query), bind(values)).fetchall()
            except AwayError:
                raise
            except ConnectionError:
                if time.monotonic() > end:
                    raise

    def search(self, query: str, *values: Any, seconds: float) -> list[PostgresRow]:
        """See `Database.search`."""
        from psycopg.errors import QueryCanceled

        with self.connection() as connection:
            try:
                with connection.transaction():
                    connection.execute(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}".encode())
                    return connection.execute(translate(query), bind(values)).fetchall()
            except QueryCanceled as error:
                raise TimeoutError(f"{self.address} was searched for {seconds:g} s") from error

    @contextmanager
    def write(self) -> Generator["PostgresChange"]:
        """See `Database.write`."""
        with self.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (self.schema.application, self.space))
            yield PostgresChange(connection)

    @contextmanager
    def connection(self) -> Generator["Connection[Any]"]:
        """A connection that works, once there is one; the library's errors as those of files.

        Raises:
            AwayError: there is none in time.
            ConnectionError: it was lost in the middle.
            OSError: something cannot be done.
            RuleError: a rule of the tables was broken.
        """
        from psycopg import Error, IntegrityError, OperationalError
        from psycopg_pool import PoolTimeout

        try:
            with self.pool.connection(self.patience()) as connection:
                self.note_found(connection)
                try:
                    yield connection
                except OperationalError as error:
                    if not connection.broken and not (error.sqlstate or "").startswith(LOST):
                        raise
                    self.note_lost(error, connection)
                    raise ConnectionError(f"the connection to {self.address} was lost") from None
        except IntegrityError as error:
            raise RuleError(self.address.clean(error)) from None
        except PoolTimeout:
            self.note_lost("no answer")
            raise AwayError(f"{self.address} does not answer") from None
        except Error as error:
            raise OSError(f"cannot use {self.address}: {self.address.clean(error)}") from None

    def check(self, connection: Any) -> None:
        """That a connection works before it is used.

        Raises:
            psycopg.Error: it does not, and another one is tried.
        """
        from psycopg import Error
        from psycopg_pool import ConnectionPool

        try:
            ConnectionPool.check_connection(connection)
        except Error as error:
            self.note_lost(error, connection)
            raise

    def patience(self) -> float:
        """Seconds to wait for a connection: what is left of `PATIENCE` where the server is away already."""
        return max(BRIEF, self.lost_at + PATIENCE - time.monotonic()) if self.is_away else PATIENCE

    def note_made(self, connection: Any) -> None:
        """Remember when a connection was made: a server that stops ends them one by one, and each is seen at its next use."""
        with self.lock:
            self.made_at[connection] = time.monotonic()

    def note_lost(self, why: object, connection: Any = None) -> None:
        """Say once that the server does not answer; a connection from before it was last said is no news for a while."""
        with self.lock:
            now = time.monotonic()
            made_at = now if connection is None else self.made_at.get(connection, now)
            is_news = not self.is_away and (made_at > self.lost_at or now > self.lost_at + PATIENCE)
            if is_news:
                self.is_away, self.lost_at = True, now
        if is_news:
            LOG.warning("%s does not answer, and is tried again: %s", self.address, self.address.clean(why))

    def note_found(self, connection: Any) -> None:
        """Say once that it does again, to a connection made since."""
        with self.lock:
            is_news = self.is_away and self.made_at.get(connection, self.lost_at) > self.lost_at
            self.is_away = self.is_away and not is_news
        if is_news:
            LOG.warning("%s answers again", self.address)


class PostgresChange:
    """A change that goes on, in SQLite's SQL.

    Args:
        connection: in a transaction.
    """

    def __init__(self, connection: "Connection[Any]") -> None:
        self.connection = connection

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Any:
        """One statement, with a value for each question mark."""
        return self.connection.execute(translate(query), bind(values))

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """The same statement for each row."""
        with self.connection.cursor() as cursor:
            cursor.executemany(translate(query), [bind(row) for row in rows])


def open_pool(address: Address, space: str, made: Callable[[Any], None], check: Callable[[Any], None]) -> Any:
    """Connections that are told of when they are made, tested before they are used, and replaced when they are lost."""
    from psycopg_pool import ConnectionPool

    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # says every try; `note_lost` says it once

    def configure(connection: "Connection[Any]") -> None:
        connection.execute(f"SET search_path TO {space}".encode())
        for setting in SETTINGS:
            connection.execute(setting.encode())
        made(connection)

    pool: Any = ConnectionPool(
        "", kwargs={**address.settings, "autocommit": True, "row_factory": make_row}, min_size=1, max_size=CONNECTIONS,
        open=False, configure=configure, check=check, timeout=PATIENCE,
        reconnect_timeout=RECONNECTING, name="zeroconv",
    )  # fmt: skip
    with suppress(Exception):
        pool.open(wait=True, timeout=PATIENCE)
    return pool
