"""`zeroconv serve`: the page and the service, on this machine or for others with a token."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zeroconv.cli.console import say
from zeroconv.errors import InputError, name_field

if TYPE_CHECKING:
    from zeroconv.service import ServiceSettings
    from zeroconv.study import Study

__all__ = ["serve"]

PORT = 7860
GIB = 2**30
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need --token-file.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = PORT,
    folder: Annotated[
        Path | None, typer.Option(help="Where jobs and pictures are kept.", show_default="in the user's data folder")
    ] = None,
    base: Annotated[list[str], typer.Option(help="Name, folder, file or hub id of a base; may repeat.")] = ["tiny"],  # noqa: B006
    control: Annotated[list[str], typer.Option(help="A ControlNet beside those of the package; may repeat.")] = [],  # noqa: B006
    device: Annotated[list[str], typer.Option(help="cpu, cuda, cuda:1, mps: a worker on each; may repeat.")] = [],  # noqa: B006
    data: Annotated[list[str], typer.Option(metavar="NAME=FOLDER", help="Pairs that the page may train on; may repeat.")] = [],  # noqa: B006
    memory: Annotated[float, typer.Option(min=0, help="GiB of networks that a worker keeps open.")] = 8.0,
    token_file: Annotated[Path | None, typer.Option(help="A file with the token that is asked for.")] = None,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="ZEROCONV_DATABASE",
            metavar="URL",
            help="postgresql://…, which several servers of one --folder share.",
            show_default="a file in --folder",
        ),
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Pictures of the gallery that are kept; the oldest go.", show_default="all")
    ] = None,
    study: Annotated[list[str], typer.Option(help="A study whose pages are served at /study/…; may repeat.")] = [],  # noqa: B006
    url: Annotated[list[str], typer.Option(help="A public address by which it is reached; may repeat.")] = [],  # noqa: B006
) -> None:
    """Open the page and the service until Ctrl-C: on this machine alone, unless a token is asked for."""
    from zeroconv.service.process import warm_up
    from zeroconv.web.public_host import check_reach
    from zeroconv.web.token import read_token

    token = None if token_file is None else read_token(token_file)
    check_reach(host, tuple(url), token)
    warm_up()
    from zeroconv.service import ServiceSettings

    settings = ServiceSettings(
        (folder or data_folder()).absolute(), tuple(dict.fromkeys(base)), tuple(dict.fromkeys(control)),
        tuple(device) or (None,), round(memory * GIB), data=data_folders(data), database=read_database(database), keep=keep,
    )  # fmt: skip
    with ExitStack() as stack:
        studies = [stack.enter_context(open_study(place)) for place in study]
        serve_until_interrupted(settings, port, host, tuple(url), token, studies)


def serve_until_interrupted(
    settings: "ServiceSettings", port: int, host: str, urls: tuple[str, ...], token: str | None, studies: "Sequence[Study]"
) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    from zeroconv.service import Service
    from zeroconv.web.service_server import ServiceServer

    service = Service(settings)
    try:
        server = ServiceServer(service, port, host, urls, token, studies)
        try:
            service.start()
        except EOFError as error:
            raise InputError("the worker ended at once", hint="its own words stand above") from error
        server.listen()
        say(f"Serving {', '.join((*settings.bases, *(one.title for one in studies)))} at {server.url} until Ctrl-C.")
        server.run()
    except KeyboardInterrupt:
        return
    finally:
        service.stop()


def read_database(url: str | None) -> str | None:
    """The address of a database.

    Raises:
        InputError: it is none; it is not repeated, as a password may be in it.
    """
    from zeroconv.database import is_url

    if url is not None and not is_url(url):
        expected = "expected postgresql://USER@HOST/DATABASE"
        raise InputError("what --database names is no address of PostgreSQL", field="database", hint=expected)
    return url


def open_study(place: str) -> "Study":
    """The study of `--study`.

    Raises:
        InputError: it is none.
    """
    from zeroconv.study import Study

    with name_field("study"):
        return Study(place)


def data_folders(given: list[str]) -> tuple[tuple[str, Path], ...]:
    """The folders of `--data NAME=FOLDER`.

    Raises:
        InputError: one is no such thing, is not there, or has the name of another.
    """
    found: dict[str, Path] = {}
    for text in given:
        name, _, folder = text.partition("=")
        if not NAME.fullmatch(name) or not folder:
            raise InputError(f"data is {text!r}; expected NAME=FOLDER, such as photos=/srv/photos", field="data")
        path = Path(folder).absolute()
        if name == "world" or name in found or not path.exists():
            why = "that folder is not there" if not path.exists() else "that name is taken"
            raise InputError(f"data is {text!r}: {why}", field="data")
        found[name] = path
    return tuple(found.items())


def data_folder() -> Path:
    """The folder for this user's data, as the system has it."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return root / "zeroconv"
