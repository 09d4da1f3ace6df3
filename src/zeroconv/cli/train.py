"""`zeroconv train`: a ControlNet from pairs; the same command again resumes."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zeroconv.cli.console import Progress, print_json, say
from zeroconv.cli.folders import output_folder
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from zeroconv.training import Event, TrainConfig

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
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove the run in the folder first, and begin anew.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the settings as they are resolved, memory, time and disk; write nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Train a ControlNet, probing its fidelity on the way; the same command again resumes.

    Ctrl-C, SIGTERM or a file called stop in the run folder end it after the step, its state saved, with exit code 0.
    """
    from transformers.utils import logging

    from zeroconv.training import TrainConfig
    from zeroconv.training import train as run
    from zeroconv.training.processes import PeerFailedError
    from zeroconv.training.run_folder.folder import RunFolder

    named = {"base": base, "data": data, "condition": condition, "out": out, "steps": steps}
    settings = TrainConfig.build(config, assignments, **named)
    logging.disable_progress_bar()
    if dry_run:
        show_plan(settings, as_json)
        return
    with output_folder(settings.checkpoint.out), Progress("training") as progress:
        if fresh and os.environ.get("RANK", "0") == "0":
            RunFolder(settings.checkpoint.out).clear()
        try:
            summary = run(settings, lambda event: show(event, progress))
        except PeerFailedError:  # another process of this run has said why
            raise typer.Exit(1) from None
    if not summary.is_first:
        return
    if summary.stopped is not None:
        say(f"stopped by {summary.stopped} after step {summary.step}; the same command resumes it: {summary.folder}")
    if as_json:
        print_json({**asdict(summary), "folder": str(summary.folder)})
        return
    if summary.fidelity is None:  # stopped before its first step
        return
    typer.echo(
        f"step {summary.step}: fidelity {summary.fidelity:.3f} (without control {summary.uncontrolled:.3f}, "
        f"ceiling {summary.ceiling:.3f}); {summary.folder}"
    )


def show_plan(settings: "TrainConfig", as_json: bool) -> None:
    """What a run would be and need."""
    from zeroconv.training.planning.plan import plan_run

    plan = plan_run(settings)
    if as_json:
        print_json(plan.to_json())
    else:
        typer.echo("\n".join(plan.lines()))


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
