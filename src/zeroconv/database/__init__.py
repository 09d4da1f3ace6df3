"""State that outlives the process: tables behind one small interface, in a SQLite file or on a PostgreSQL server."""

from zeroconv.database.copying import copy_database
from zeroconv.database.interface import Change, Database, Row, RuleError, Schema, retried
from zeroconv.database.opening import create_database, database_exists, is_url, open_database
from zeroconv.database.snapshot import Snapshot, is_there, open_snapshot
from zeroconv.database.sqlite import SQLiteDatabase

__all__ = [
    "Change",
    "Database",
    "Row",
    "RuleError",
    "SQLiteDatabase",
    "Schema",
    "Snapshot",
    "copy_database",
    "create_database",
    "database_exists",
    "is_there",
    "is_url",
    "open_database",
    "open_snapshot",
    "retried",
]
