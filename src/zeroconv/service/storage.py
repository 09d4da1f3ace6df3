"""Where a service keeps its state: a file in its folder, or a database that several share together with the folder."""

import secrets
from pathlib import Path

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.checkpoints.files.folder_lock import FolderLock
from zeroconv.database import Database, create_database, database_exists, open_database
from zeroconv.errors import InputError
from zeroconv.service.schema import SERVICE

__all__ = ["FILE", "Storage", "lock_of", "mark_of"]

FILE, LOCK, MARK = "service.sqlite", ".lock", ".database"
"""In the folder; the mark is the token of the database that it belongs to, whatever file lies beside it."""


class Storage:
    """The tables of a service, and a folder that belongs to them.

    Args:
        folder: of pictures, runs and, without `url`, the tables; made if it is not there.
        url: of a PostgreSQL database.

    Attributes:
        database: the tables.
        host: the name of this service among those that share them; empty where none may.

    Raises:
        InputError: the folder or the database holds something else, belongs to another, or is served by another process.
        OSError: it cannot be used.
    """

    def __init__(self, folder: Path, url: str | None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.lock: FolderLock | None = None
        mark, file = mark_of(folder), folder / FILE
        if url is None:
            if mark.exists():
                said = f"the pictures in {folder} belong to a database on a server"
                raise InputError(said, field="folder", hint="name it with --database, or choose another folder")
            self.lock, self.host = lock_of(folder), ""
            self.lock.acquire()
        elif file.exists() and not mark.exists():
            said = f"the pictures in {folder} belong to {FILE} there"
            hint = "choose another folder, leave --database out, or bring it there with zeroconv database copy"
            raise InputError(said, field="folder", hint=hint)
        place: Path | str = file if url is None else url
        try:
            self.database: Database = open_or_create(place)
        except BaseException:
            self.release()
            raise
        if url is not None:
            self.host = secrets.token_hex(8)
            try:
                check_mark(mark, self.database)
            except BaseException:
                self.close()
                raise

    def release(self) -> None:
        """Let go of the folder."""
        if self.lock is not None:
            self.lock.release()

    def close(self) -> None:
        """Let go of everything."""
        self.database.close()
        self.release()


def lock_of(folder: Path) -> FolderLock:
    """What a service holds of a folder whose tables are a file."""
    return FolderLock(folder / LOCK, "serves", "folder")


def mark_of(folder: Path) -> Path:
    """Where a folder says to which database on a server it belongs."""
    return folder / MARK


def open_or_create(place: Path | str) -> Database:
    """The tables, new ones where there are none."""
    if not database_exists(place, SERVICE):
        try:
            return create_database(place, SERVICE)
        except FileExistsError:
            pass  # another service was faster
    return open_database(place, SERVICE)


def check_mark(mark: Path, database: Database) -> None:
    """That a folder is the one of a database; a new database takes any that belongs to none.

    Raises:
        InputError: it is not.
    """
    if mark.exists():
        if mark.read_text("utf-8").strip() != database.token:
            said = f"the pictures in {mark.parent} belong to another database"
            raise InputError(said, field="folder", hint="name the folder that all hosts of this database share")
    elif database.read("SELECT 1 FROM job UNION ALL SELECT 1 FROM gallery LIMIT 1"):
        said = f"{mark.parent} is not the folder of this database"
        raise InputError(said, field="folder", hint="name the folder that all its hosts share")
    else:
        write_text(mark, database.token + "\n")
