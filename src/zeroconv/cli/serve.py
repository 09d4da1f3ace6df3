"""`zeroconv serve`: the page and the service, on this machine or for others with a token."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from zeroconv.cli.console import say
from zeroconv.errors import InputError

__all__ = ["serve"]

PORT = 7860
GIB = 2**30


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need --token-file.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = PORT,
    folder: Annotated[
        Path | None, typer.Option(help="Where jobs and pictures are kept.", show_default="in the user's data folder")
    ] = None,
    base: Annotated[list[str], typer.Option(help="Name, folder, file or hub id of a base; may repeat.")] = ["tiny"],  # noqa: B006
    control: Annotated[list[str], typer.Option(help="A ControlNet beside those of the package; may repeat.")] = [],  # noqa: B006
    device: Annotated[list[str], typer.Option(help="cpu, cuda, cuda:1, mps: a worker on each; may repeat.")] = [],  # noqa: B006
    memory: Annotated[float, typer.Option(min=0, help="GiB of networks that a worker keeps open.")] = 8.0,
    token_file: Annotated[Path | None, typer.Option(help="A file with the token that is asked for.")] = None,
    url: Annotated[list[str], typer.Option(help="A public address by which it is reached; may repeat.")] = [],  # noqa: B006
) -> None:
    """Open the page and the service until Ctrl-C: on this machine alone, unless a token is asked for."""
    from zeroconv.service.process import warm_up
    from zeroconv.web.public_host import check_reach
    from zeroconv.web.token import read_token

    token = None if token_file is None else read_token(token_file)
    check_reach(host, tuple(url), token)
    warm_up()
    from zeroconv.service import Service, ServiceSettings
    from zeroconv.web.service_server import ServiceServer

    settings = ServiceSettings(
        (folder or data_folder()).absolute(), tuple(dict.fromkeys(base)), tuple(dict.fromkeys(control)),
        tuple(device) or (None,), round(memory * GIB),
    )  # fmt: skip
    service = Service(settings)
    try:
        server = ServiceServer(service, port, host, tuple(url), token)
        try:
            service.start()
        except EOFError as error:
            raise InputError("the worker ended at once", hint="its own words stand above") from error
        server.listen()
        say(f"Serving {', '.join(settings.bases)} at {server.url} until Ctrl-C.")
        server.run()
    except KeyboardInterrupt:
        return
    finally:
        service.stop()


def data_folder() -> Path:
    """The folder for this user's data, as the system has it."""
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return root / "zeroconv"
