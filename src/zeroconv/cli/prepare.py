"""`zeroconv data prepare`: pairs encoded once, for any number of trainings."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zeroconv.cli.console import Progress, format_seconds, print_json
from zeroconv.cli.extract import parse_assignment
from zeroconv.cli.folders import output_folder

if TYPE_CHECKING:
    from zeroconv.data.prepared import Progressed

__all__ = ["prepare_data", "print_verified"]

SHOWN = 10  # problems printed one by one


def prepare_data(
    source: Annotated[str, typer.Argument(metavar="data", help="As for `train --data`.")],
    out: Annotated[Path, typer.Option(help="Folder of the shards.")],
    base: Annotated[str, typer.Option(help="Whose encoders: name, folder, file or hub id.")] = "tiny",
    vae: Annotated[Path | None, typer.Option(help="Another autoencoder, a file or folder.")] = None,
    condition: Annotated[str | None, typer.Option(help="Keep its maps too, where every visit has the same.")] = None,
    assignments: Annotated[
        list[str],
        typer.Option("--set", metavar="KEY=VALUE", help="Of its extractor: low=50; ready maps are left aside."),
    ] = [],  # noqa: B006
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one for each core, or GPU")] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes of this machine, or Ray: the cluster of RAY_ADDRESS, if set.")
    ] = "local",
    shard_size: Annotated[int, typer.Option(min=1, max=65536, help="Pairs in a shard.")] = 256,
    max_broken: Annotated[
        float, typer.Option(min=0, max=1, help="Largest share of pairs that may be left out because they cannot be used.")
    ] = 0.1,
    device: Annotated[str, typer.Option(help="Where to encode: cpu or cuda.")] = "cpu",
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove what is there, and begin anew.")] = False,
    buckets: Annotated[
        bool,
        typer.Option("--buckets", help="Pictures of any size, each cut to the bucket of its shape; implied by the next 3."),
    ] = False,
    resolution: Annotated[
        int | None, typer.Option(min=8, help="Side in pixels of a square of the buckets' area.", show_default="the base's own")
    ] = None,
    crops: Annotated[int, typer.Option(min=1, max=64, help="Parts kept of each picture; 1 is its middle.")] = 1,
    flip: Annotated[
        bool, typer.Option("--flip", help="Keep each part mirrored too, unless captions tell of sides or writing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Encode pairs into shards that `train --set data.cache=FOLDER` reads; run again, it goes on where it stopped.

    Shards whose pairs have changed, or whose file is damaged, are made anew. `data check FOLDER` hashes them all. What is kept
    in buckets is read with `train --set buckets=true` and the same resolution, crops and flip.
    """
    from zeroconv.data.prepared import default_workers, prepare

    given = {key.removeprefix("extract."): value for key, value in map(parse_assignment, assignments)}
    with output_folder(out), Progress("preparing") as progress:
        done = prepare(
            source, out, base=base, vae=None if vae is None else str(vae), condition=condition, extract=given, engine=engine,
            workers=workers or default_workers(device), shard_size=shard_size, max_broken=max_broken, device=device,
            fresh=fresh, buckets=buckets, resolution=resolution, crops=crops, flip=flip,
            report=lambda state: progress.show(line_of(state)),
        )  # fmt: skip
    broken = [{"name": name, "problem": problem} for name, problem in done.broken]
    if as_json:
        values: dict[str, Any] = {"folder": str(done.folder), "pairs": done.pairs, "views": done.views}
        values |= {"shards": done.shards, "made": done.made}
        print_json({**values, "bytes": done.bytes, "pairs_per_second": round(done.rate, 3), "broken": broken})
        return
    for one in broken[:SHOWN]:
        typer.echo(f"left out: {one['name']}: {one['problem']}")
    made = f"{done.made} of {done.shards} shards made" if done.made < done.shards else f"{done.shards} shards"
    views = f" in {done.views} views" if done.views else ""
    typer.echo(f"{done.pairs - len(broken)} of {done.pairs} pairs{views}, {made}, {done.bytes / 1e6:,.1f} MB: {done.folder}")


def line_of(state: "Progressed") -> str:
    """Pairs, rate, bytes and the time left."""
    parts = [f"preparing {state.done}/{state.total}", f"{state.bytes / 1e6:,.1f} MB"]
    if state.rate:
        left = format_seconds((state.total - state.done) / state.rate)
        parts += [f"{state.rate:.3g} pairs/s", f"{left} left"]
    return ", ".join(parts)


def print_verified(folder: Path, as_json: bool) -> None:
    """Hash a prepared folder and say what is damaged.

    Raises:
        ValueError: when something is.
    """
    from zeroconv.data.prepared import verify

    with Progress("shard") as progress:
        found = verify(folder, progress)
    if as_json:
        counts = {"pairs": found.pairs, "broken": found.broken, "shards": found.shards, "bytes": found.bytes}
        views = None if found.views is None else {**asdict(found.views), "buckets": found.buckets}
        print_json({**counts, "views": views, "problems": found.problems})
    else:
        whole = found.shards - len(found.problems)
        typer.echo(f"{whole} of {found.shards} shards are whole; {found.pairs} pairs, {found.broken} left out")
        typer.echo(found.content)
        for problem in found.problems[:SHOWN]:
            typer.echo(f"problem: {problem}")
    if found.problems:
        count = f"{len(found.problems)} of {found.shards} shards are damaged (first: {found.problems[0]})"
        raise ValueError(f"{count}: the same `zeroconv data prepare` again makes them anew")
