"""`zeroconv database`: from a file to a PostgreSQL server, and back."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from zeroconv.cli.console import say
from zeroconv.cli.errors import Commands
from zeroconv.errors import InputError

if TYPE_CHECKING:
    from zeroconv.database import Schema

__all__ = ["database"]

database = typer.Typer(cls=Commands, help="What a service or a study keeps.", no_args_is_help=True, rich_markup_mode=None)
Kind = Literal["service", "study"]


@database.callback()
def options() -> None:
    """What a service or a study keeps."""


@database.command("copy")
def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="A service.sqlite, the file of a study, or postgresql://…; it is not changed.")
    ],
    target: Annotated[str, typer.Argument(metavar="TO", help="postgresql://…, or a file; nothing may be there.")],
    kind: Annotated[Kind | None, typer.Option(help="Which, where FROM is an address that has both.")] = None,
) -> None:
    """Copy jobs and gallery of a service, or a study, between a file and PostgreSQL: every row, or none.

    The folder of a service.sqlite belongs to the copy from then on: serve it with --database after a copy to a server, and
    without it after one to a file. Stop the service first. Put a password in ~/.pgpass or PGPASSWORD.
    """
    from zeroconv.database import copy_database, is_url, open_snapshot
    from zeroconv.service.moving import copy_service
    from zeroconv.study.schema import STUDY

    if is_url(source) == is_url(target) or any("://" in place and not is_url(place) for place in (source, target)):
        expected = "expected a file on one side and postgresql://USER@HOST/DATABASE on the other"
        raise InputError(f"FROM and TO cannot be copied: {expected}", field="to")
    folder = None
    if (kind or find_kind(source)) == "service":
        counts, folder = copy_service(source, target)
    else:
        with open_snapshot(source, STUDY) as snapshot:
            counts = copy_database(snapshot, target, STUDY)
    for table, count in counts.items():
        typer.echo(f"{table:8}  {count:>7}")
    if folder is not None:
        serve = "zeroconv serve --database …" if is_url(target) else "zeroconv serve"
        say(f"{folder} belongs to the copy now: {serve} --folder {folder}")


def find_kind(place: str) -> Kind:
    """What a place holds.

    Raises:
        InputError: nothing that is known, or several things.
    """
    from zeroconv.database import is_there
    from zeroconv.service.schema import SERVICE
    from zeroconv.study.schema import STUDY

    schemas: dict[Kind, Schema] = {"service": SERVICE, "study": STUDY}
    found: list[Kind] = [kind for kind, schema in schemas.items() if is_there(place, schema)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError("a service and a study are there", field="from", hint="say which with --kind")
    names = " and no ".join(schema.name for schema in schemas.values())
    raise InputError(f"there is no {names} where FROM is", field="from", hint="#NAME behind an address may be missing")
