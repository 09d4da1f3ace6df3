"""`zeroconv train`: a ControlNet from pairs; the same command again resumes."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zeroconv.cli.console import Progress, print_json, say
from zeroconv.cli.folders import output_folder
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from zeroconv.training import Event

__all__ = ["train"]


def train(
    base: Annotated[str | None, typer.Option(help="Name or folder of the base (tiny).")] = None,
    data: Annotated[
        str | None, typer.Option(help="A folder or file of pairs, hub:OWNER/NAME, or world:COUNT[@FIRST_SEED].")
    ] = None,
    condition: Annotated[str | None, typer.Option(help="What to learn (canny).")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder (runs/control).")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings, in groups or flat.")] = None,
    assignments: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting: probe_every=50, or probe.every=50."),
    ] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Train a ControlNet, probing its fidelity on the way; the same command again resumes."""
    from transformers.utils import logging

    from zeroconv.training import TrainConfig
    from zeroconv.training import train as run

    named = {"base": base, "data": data, "condition": condition, "out": out, "steps": steps}
    settings = TrainConfig.build(config, assignments, **named)
    logging.disable_progress_bar()
    with output_folder(settings.checkpoint.out), Progress("training") as progress:
        try:
            summary = run(settings, lambda event: show(event, progress))
        except KeyboardInterrupt:
            progress.close()
            say(f"stopped; the same command resumes the run in {settings.checkpoint.out}")
            raise
    if as_json:
        print_json({**asdict(summary), "folder": str(summary.folder)})
        return
    typer.echo(
        f"step {summary.step}: fidelity {summary.fidelity:.3f} (without control {summary.uncontrolled:.3f}, "
        f"ceiling {summary.ceiling:.3f}); {summary.folder}"
    )


def show(event: "Event", progress: Progress) -> None:
    """Progress changes in place; probes and announcements stay."""
    from zeroconv.training import Progress as Stepped

    if isinstance(event, Stepped):
        progress.show(event.line(), last=event.step == event.steps)
    elif isinstance(event, Message):
        progress.close()
        tell(event)
    else:
        progress.close()
        say(event.line())
