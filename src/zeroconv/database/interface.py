"""What every database can do, whatever it is: read rows, search within a time, change all or nothing."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

__all__ = ["AwayError", "Change", "Database", "Row", "RuleError", "Schema", "retried"]

PATIENCE = 20.0  # seconds in which what was interrupted is begun again
Given = ParamSpec("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Schema:
    """What a database holds.

    Attributes:
        name: of such a database in messages, such as "user study".
        short: the same in one word, under which a server keeps its tables.
        application: a number that marks such files, in the header that SQLite keeps for it.
        version: of the tables; a database of another one is refused, unless it can be brought up to it.
        tables: SQL that makes them, as SQLite speaks it.
        upgrades: by version, SQL that makes the next one of it.
    """

    name: str
    short: str
    application: int
    version: int
    tables: str
    upgrades: Mapping[int, str] = field(default_factory=dict[int, str])


class AwayError(ConnectionError):
    """The database does not answer, and has been waited for."""


class RuleError(Exception):
    """A change breaks a rule of the tables."""


class Row(Protocol):
    """A row, by the names or the places of its columns."""

    def __getitem__(self, key: Any, /) -> Any:
        """The value of a column."""
        ...


class Cursor(Protocol):
    """What a statement gives."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """The first row; None if there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """All rows."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Row by row."""
        ...


class Change(Protocol):
    """A change that goes on."""

    def execute(self, query: str, values: Sequence[Any] = (), /) -> Cursor:
        """One statement, with a value for each question mark."""
        ...

    def executemany(self, query: str, rows: Iterable[Sequence[Any]], /) -> Any:
        """The same statement for each row."""
        ...


class Database(Protocol):
    """Tables of a schema. Threads may share it.

    Attributes:
        clock: SQL for the seconds since 1970, by one clock for all who share the tables.
        is_shared: whether other machines may use the tables now.
    """

    clock: str
    is_shared: bool

    @property
    def token(self) -> str:
        """A name that no other database has; empty for one of this machine alone."""
        ...

    def read(self, query: str, *values: Any) -> Sequence[Row]:
        """The rows of a query.

        Raises:
            OSError: when it cannot be read now.
            InputError: when it is damaged.
        """
        ...

    def search(self, query: str, *values: Any, seconds: float) -> Sequence[Row]:
        """The rows of a query that may take long: nobody else waits for it.

        Args:
            query: SQL.
            values: for its question marks.
            seconds: after which it is given up.

        Raises:
            TimeoutError: it was.
            OSError: when it cannot be read now.
            InputError: when it is damaged.
        """
        ...

    def write(self) -> AbstractContextManager[Change]:
        """A change of all or nothing: the block is done alone, and on the disk when it ends well.

        Raises:
            OSError: when it cannot be written; nothing has changed then.
            ConnectionError: when the connection was lost in the middle; whether it is done nobody knows then.
            RuleError: when it breaks a rule of the tables; nothing has changed then.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def retried(method: Callable[Given, Found]) -> Callable[Given, Found]:
    """A function that changes a database, begun again where the connection was lost in the middle.

    It may have been done then, so that to do it twice must be the same as to do it once.
    """

    @wraps(method)
    def again(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return method(*args, **kwargs)
            except AwayError:
                raise
            except ConnectionError:
                if time.monotonic() > end:
                    raise

    return again
