"""The tables of a service from its file to a server and back; its folder of pictures belongs to the copy from then on."""

from pathlib import Path

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.database import Change, Snapshot, copy_database, is_url, open_snapshot
from zeroconv.errors import InputError
from zeroconv.service.heartbeat import SILENT
from zeroconv.service.schema import SERVICE
from zeroconv.service.storage import FILE, lock_of, mark_of

__all__ = ["copy_service"]


def copy_service(source: str, target: str) -> tuple[dict[str, int], Path | None]:
    """Copy the jobs and the gallery, all or nothing.

    Where the file is the `service.sqlite` of a service's folder, the folder changes hands with the last step.

    Args:
        source: a file, or the address of a server, which is not changed.
        target: the other of the two; nothing may be there.

    Returns:
        How many rows were copied, by table; the folder that belongs to the copy now, if any.

    Raises:
        InputError: something is at the target, a service uses the source, or a folder belongs to another database.
        OSError: something cannot be read or written.
    """
    file = Path(target if is_url(source) else source).absolute()
    folder = file.parent if file.name == FILE else None
    return to_file(source, file, folder) if is_url(source) else to_server(file, target, folder)


def to_server(file: Path, url: str, folder: Path | None) -> tuple[dict[str, int], Path | None]:
    """From a file, which stays; no service can use the folder meanwhile."""
    if not file.exists():
        raise InputError(f"there is no {SERVICE.name} at {file}", field="from")
    if folder is not None and mark_of(folder).exists():
        said = f"the pictures in {folder} belong to a database on a server, and {file.name} there is older"
        hint = f"copy that database, or delete {mark_of(folder)} where the file is the one that counts"
        raise InputError(said, field="from", hint=hint)
    lock = None if folder is None else lock_of(folder)
    if lock is not None:
        lock.acquire()
    try:
        with open_snapshot(file, SERVICE) as snapshot:
            counts = copy_database(snapshot, url, SERVICE, ("host",), leave_hosts)
        if folder is not None:
            with open_snapshot(url, SERVICE) as made:
                write_text(mark_of(folder), made.token + "\n")
        return counts, folder
    finally:
        if lock is not None:
            lock.release()


def to_file(url: str, file: Path, folder: Path | None) -> tuple[dict[str, int], Path | None]:
    """From a server, which no service may use."""
    with open_snapshot(url, SERVICE) as snapshot:
        mark = None if folder is None or not mark_of(folder).exists() else mark_of(folder)
        if mark is not None and mark.read_text("utf-8").strip() != snapshot.token:
            said = f"the pictures in {folder} belong to another database"
            raise InputError(said, field="to", hint="name a file of another folder")
        if mark is not None:
            require_unserved(snapshot)
        counts = copy_database(snapshot, file, SERVICE, ("host",), leave_hosts)
    if mark is not None:
        mark.unlink()
    return counts, folder if mark is not None else None


def require_unserved(snapshot: Snapshot) -> None:
    """That no service uses a database.

    Raises:
        InputError: one does, or did a moment ago.
    """
    query = f"SELECT count(*) FROM host WHERE seen > {snapshot.clock} - {SILENT}"
    if count := next(snapshot.rows(query))[0]:
        said = f"{count} service{'s' * (count > 1)} used this database within the last {SILENT:.0f} seconds"
        raise InputError(said, field="from", hint="stop all of them first; one that was killed counts as long")


def leave_hosts(change: Change) -> None:
    """Whose jobs they were is over: the next service begins what has not ended."""
    change.execute("UPDATE job SET host = ''")
