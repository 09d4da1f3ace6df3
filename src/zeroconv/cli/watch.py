"""`zeroconv watch`: a page that follows a run."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from zeroconv.cli.console import say
from zeroconv.errors import InputError

__all__ = ["watch"]


def watch(
    run: Annotated[Path, typer.Argument(help="The run folder of a training, going on or ended.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0 takes any free one.")] = 8765,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    read_only: Annotated[bool, typer.Option("--read-only", help="Leave out the buttons that act on the run.")] = False,
) -> None:
    """Follow a training in a browser: fidelity, loss, samples, speed, memory; buttons to stop, sample and save.

    The page is on 127.0.0.1 alone, needs no internet, and ends with Ctrl-C. The training does not notice it.
    """
    from zeroconv.web import RunView, WatchServer

    view = RunView(run)
    if not view.is_run():
        raise InputError(f"no training run in {run}", field="run", hint="give the --out of a `zeroconv train`")
    try:
        server = WatchServer(view, port, read_only)
    except OSError as error:
        raise InputError(f"port {port} cannot be used: {error.strerror}", field="port", hint="give another --port") from error
    typer.echo(server.address)
    say(f"Following {run} at {server.address} until Ctrl-C.")
    with server:
        if browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
