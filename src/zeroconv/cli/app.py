"""The application: its commands and the options before them."""

from typing import Annotated

import typer

from zeroconv.cli import convert, demo, evaluate, extract, generate, info, serve, train, upscale, watch
from zeroconv.cli.data import data
from zeroconv.cli.database import database
from zeroconv.cli.errors import Commands
from zeroconv.cli.study import study
from zeroconv.version import __version__

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    help="Train, run and measure ControlNets: spatial control for text-to-image diffusion models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        typer.echo(f"zeroconv {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Options before the command."""


app.command("demo")(demo.demo)
app.command("extract")(extract.extract)
app.command("generate", cls=generate.Ordered)(generate.generate)
app.command("serve")(serve.serve)
app.command("upscale")(upscale.upscale)
app.command("train")(train.train)
app.command("watch")(watch.watch)
app.command("evaluate")(evaluate.evaluate)
app.command("convert")(convert.convert)
app.command("info")(info.info)
app.add_typer(data, name="data")
app.add_typer(study, name="study")
app.add_typer(database, name="database")
