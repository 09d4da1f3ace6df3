"""`zeroconv data check`, `data prepare` and `data world`: pairs to train on."""

from pathlib import Path
from typing import Annotated

import typer

from zeroconv.cli.console import Progress, print_json
from zeroconv.cli.errors import Commands
from zeroconv.cli.folders import output_folder
from zeroconv.cli.prepare import prepare_data, print_verified

__all__ = ["data"]

data = typer.Typer(cls=Commands, help="Folders of pairs.", no_args_is_help=True, rich_markup_mode=None)
data.command("prepare")(prepare_data)
SHOWN = 10  # problems printed one by one


@data.command("check")
def check_data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="data",
            help="As for `train --data`: a folder, .parquet, .tar, .csv, hub:OWNER/NAME, world:COUNT, one of `data prepare`.",
        ),
    ],
    condition: Annotated[
        str | None, typer.Option(help="To be trained: what maps without a name are.", show_default="the one named, or canny")
    ] = None,
    probe_count: Annotated[int, typer.Option(min=1, help="Pairs that training will hold out.")] = 8,
    out: Annotated[Path, typer.Option(help="Folder for the sheet of the first pairs.")] = Path("outputs/data-check"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Open every pair once: counts, sizes, missing files, odd or displaced maps, and a sheet to look at.

    Exit code 1 when a pair cannot be used (training leaves out up to a tenth and lists them) or training would refuse all.
    Of a folder of `data prepare` every shard is hashed; exit code 1 when one is damaged.
    """
    from zeroconv.data import check
    from zeroconv.data.prepared import is_prepared
    from zeroconv.images import write_png

    if is_prepared(source):
        print_verified(Path(source), as_json)
        return
    with output_folder(out):
        report, sheet = check(source, condition, probe_count)
        written = write_png(sheet, out / "sheet.png") if sheet is not None else None
    if as_json:
        print_json({**report.to_json(), "sheet": str(written) if written else None})
    else:
        typer.echo(f"{report.good} of {report.pairs} pairs are good; {report.empty_captions} have no caption")
        typer.echo(report.captions.line())
        for title, counts in (("sizes", report.sizes), ("maps", report.maps)):
            if counts:
                typer.echo(f"{title}: " + ", ".join(f"{count} x {name}" for name, count in counts.most_common(SHOWN)))
        for message in report.messages:
            typer.echo(message.line())
        for problem in report.problems[:SHOWN]:
            typer.echo(f"problem: {problem}")
        if written is not None:
            typer.echo(written)
    if report.problems:
        more = f" (first: {report.problems[0]})" if as_json else ""
        bad = report.pairs - report.good
        what = f"{bad} of {report.pairs} pairs cannot be used" if bad else "training would refuse this data"
        raise ValueError(f"{what}{more}")


@data.command("world")
def write(
    out: Annotated[Path, typer.Argument(help="The folder.")],
    count: Annotated[int, typer.Option(min=1, help="How many scenes.")] = 1000,
    condition: Annotated[list[str], typer.Option(help="Maps to write; may repeat.")] = ["canny"],  # noqa: B006
    first_seed: Annotated[int, typer.Option(min=0, help="The first scene; from 900000000 on they are held out.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write scenes of the tiny world with captions and exact maps; run again, it goes on where it stopped."""
    from zeroconv import conditions
    from zeroconv.data import write_world

    names = list(dict.fromkeys(part.name for name in condition for part in conditions.get(name).each))
    with output_folder(out), Progress("scene") as progress:
        write_world(out, count, names, first_seed, progress)
    if as_json:
        print_json({"folder": str(out), "count": count, "conditions": names, "first_seed": first_seed})
        return
    typer.echo(out)
