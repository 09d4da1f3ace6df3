"""A SQLite file, written ahead (WAL), whose every change is on the disk when it returns."""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from zeroconv.database.interface import Change, RuleError, Schema
from zeroconv.errors import InputError

__all__ = ["SQLiteDatabase", "check_application", "in_one_line"]

PATIENCE = 20.0  # seconds that a change waits for the change of another process
ONLY_OWNER = 0o600
INSTRUCTIONS = 1000  # of SQLite, between two looks at the clock
SETTINGS = (
    "PRAGMA synchronous = FULL",  # a commit waits for the disk: what was answered survives the machine, too
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",  # a file of a stranger calls no function
    "PRAGMA cell_size_check = ON",
)


class SQLiteDatabase:
    """A file of tables. Threads may share it: their statements take turns.

    Args:
        path: of the file, which must exist.
        schema: what it must hold.

    Raises:
        InputError: there is no such file, or it holds something else.
        OSError: it cannot be opened.
    """

    clock = "((julianday('now') - 2440587.5) * 86400.0)"
    is_shared = False
    token = ""

    def __init__(self, path: Path, schema: Schema) -> None:
        if not path.is_file():
            raise InputError(f"there is no {schema.name} at {path}", field="path")
        self.path, self.schema, self.lock = path, schema, threading.RLock()
        with in_one_line(self.path, self.schema):
            self.connection = connect(path)
        try:
            with in_one_line(self.path, self.schema):
                version = check_application(self.connection, path, schema)
                if version in schema.upgrades:
                    self.upgrade()
                elif version != schema.version:
                    message = f"{path} is a {schema.name} of format {version}; expected format {schema.version}"
                    raise InputError(message, field="path", hint="use the version of zeroconv that made it")
                for setting in SETTINGS:
                    self.connection.execute(setting)
        except BaseException:
            self.connection.close()
            raise

    def upgrade(self) -> None:
        """Bring the tables up to their version, all at once."""
        self.connection.execute("BEGIN IMMEDIATE")  # a process that did it meanwhile has ended then
        while (version := self.connection.execute("PRAGMA user_version").fetchone()[0]) in self.schema.upgrades:
            for statement in self.schema.upgrades[version].split(";"):
                self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {version + 1}")
        self.connection.execute("COMMIT")

    @classmethod
    def create(cls, path: Path, schema: Schema, fill: Callable[[Change], None] = lambda change: None) -> "SQLiteDatabase":
        """A new one, which only its owner can read; it is there when it is whole.

        Args:
            path: of the file.
            schema: what it holds.
            fill: puts in what it holds at first.

        Raises:
            OSError: something is there already, or it cannot be written.
        """
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        made = path.with_name(f"{path.name}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        made.unlink(missing_ok=True)  # of a process that was killed here
        os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, ONLY_OWNER))
        connection = connect(made)
        try:
            with in_one_line(path, schema):
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.executescript(schema.tables)
                connection.execute("BEGIN")
                fill(connection)
                connection.execute("COMMIT")
                connection.execute(f"PRAGMA user_version = {schema.version}")
                connection.execute(f"PRAGMA application_id = {schema.application}")
        except BaseException:
            connection.close()
            made.unlink()
            raise
        connection.close()
        made.rename(path)
        sync_folder(path.parent)
        return cls(path, schema)

    def __str__(self) -> str:
        return str(self.path)

    def __enter__(self) -> "SQLiteDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self.lock:
            self.connection.close()

    def read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a query.

        Raises:
            OSError: when the file cannot be read now.
            InputError: when it is damaged.
        """
        with self.lock, in_one_line(self.path, self.schema):
            return self.connection.execute(query, values).fetchall()

    def search(self, query: str, *values: Any, seconds: float) -> list[sqlite3.Row]:
        """The rows of a query that may take long: nobody else waits for it.

        Args:
            query: SQL.
            values: for its question marks.
            seconds: after which it is given up.

        Raises:
            TimeoutError: it was.
            OSError: when the file cannot be read now.
            InputError: when it is damaged.
        """
        end = time.monotonic() + seconds
        # SQLite keeps the files of closed connections open while another is, and takes them for the next ones
        with in_one_line(self.path, self.schema), closing(connect(self.path)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.set_progress_handler(lambda: int(time.monotonic() > end), INSTRUCTIONS)
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                    raise TimeoutError(f"{self.path} was searched for {seconds:g} s") from error
                raise

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """A change of all or nothing: the block is done alone, and on the disk when it ends well.

        Raises:
            OSError: when the file cannot be written; nothing has changed then.
            RuleError: when it breaks a rule of the tables; nothing has changed then.
        """
        with self.lock, in_one_line(self.path, self.schema):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled it back already
                    self.connection.execute("ROLLBACK")
                raise


@contextmanager
def in_one_line(path: Path, schema: Schema) -> Generator[None]:
    """SQLite's errors as those of files."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise RuleError(str(error)) from error
    except sqlite3.OperationalError as error:
        raise OSError(f"cannot use {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path} is damaged, or no {schema.name} ({error})", field="path") from error


def check_application(connection: sqlite3.Connection, path: Path, schema: Schema) -> int:
    """The version of a file's tables.

    Raises:
        InputError: it is of another kind.
    """
    application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if application != schema.application:
        raise InputError(f"{path} is no {schema.name}", field="path")
    return version


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that exists, with every statement on its own unless a change was begun.

    Its `lower` knows the letters of all languages, where SQLite's own knows English.
    """
    name = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(name, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=True)
    connection.row_factory = sqlite3.Row
    connection.create_function("lower", 1, str.lower, deterministic=True)
    return connection


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk."""
    with suppress(OSError):  # some file systems cannot
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
