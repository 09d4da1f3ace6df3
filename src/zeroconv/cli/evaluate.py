"""`zeroconv evaluate`: how well the pictures of a ControlNet obey their conditions."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.cli.bases import (
    Device,
    Kind,
    Lora,
    Prediction,
    Runtime,
    Vae,
    open_base,
    parse_base,
    parse_runtime,
    read_base_name,
)
from zeroconv.cli.console import Progress, print_json
from zeroconv.cli.extract import parse_assignment
from zeroconv.cli.folders import output_folder
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from zeroconv.control import ControlNet

__all__ = ["evaluate"]


def evaluate(
    control: Annotated[str, typer.Option(help="Name, folder or run of the ControlNet.")],
    data: Annotated[str, typer.Option(help="Held-out pairs: a folder, or world:COUNT@FIRST_SEED.")] = "world:200@900000000",
    out: Annotated[Path, typer.Option(help="Folder for report.json and sheet.png.")] = Path("outputs/evaluation"),
    base: Annotated[str | None, typer.Option(help="The base; the one the ControlNet names if left out.")] = None,
    condition: Annotated[str | None, typer.Option(help="The condition; the one it names if left out.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="The first so many pairs alone.")] = None,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 20,
    guidance: Annotated[float, typer.Option(help="Guidance scale.")] = 7.5,
    scale: Annotated[float, typer.Option(help="Strength of the control.")] = 1.0,
    weighting: Annotated[str, typer.Option(help="uniform, resolution, decay or condition-only.")] = "uniform",
    sampler: Annotated[
        str, typer.Option(help="ddim, dpm++2m, dpm++2m-sde, dpm++sde, euler, euler-a, heun, unipc or lcm; Karras behind it.")
    ] = "dpm++2m",
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first pair.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs computed together.")] = 8,
    judge: Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="Who reads maps back, such as method=dpt.")] = [],  # noqa: B006
    lora: Lora = [],  # noqa: B006
    vae: Vae = None,
    prediction: Prediction = None,
    device: Device = None,
    dtype: Kind = None,
    runtime: Runtime = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Measure fidelity with the control, without it, and of the best this base could do."""
    started = time.monotonic()
    how = parse_runtime(runtime)
    with output_folder(out):
        from zeroconv import evaluation
        from zeroconv.control import ControlNet
        from zeroconv.data import FolderPairs, Subset, open_pairs
        from zeroconv.data.map_messages import look_at_maps
        from zeroconv.generation import ControlPipeline
        from zeroconv.images import write_png

        asked = parse_base(base or read_base_name(control) or "tiny", vae, lora, prediction, device, dtype)
        pipeline = ControlPipeline(open_base(asked))
        if how is not None:
            pipeline.optimize(runtime=how)
        network = ControlNet.from_pretrained(control, unet=pipeline.base.unet)
        name = condition or network.config.condition
        if name is None:
            raise ValueError(f"{control} does not say which condition it follows: name it with --condition")
        parameters = dict(map(parse_assignment, judge)) if judge else None
        warn_of_judge(name, network, parameters, data)
        pairs = open_pairs(data, name)
        for message in look_at_maps(pairs) if isinstance(pairs, FolderPairs) else ():
            tell(message)
        chosen = Subset(pairs, range(min(count or len(pairs), len(pairs))))
        with Progress("pair") as progress:
            report = evaluation.evaluate(
                pipeline, network, name, chosen, num_inference_steps=steps,
                guidance_scale=guidance, scale=scale, weighting=weighting, sampler=sampler, seed=seed,
                batch_size=batch_size, judge=parameters, of_tiny_world=data.startswith("world:"), on_progress=progress,
            )  # fmt: skip
        written = {**report.to_dict(), "data": data, "seconds": round(time.monotonic() - started, 1)}
        write_png(evaluation.fidelity_sheet(report), out / "sheet.png")
        write_text(out / "report.json", json.dumps(written, indent=2, allow_nan=False) + "\n")
    if as_json:
        print_json({**written, "files": [str(out / "report.json"), str(out / "sheet.png")]})
        return
    for line in (*report.lines(), str(out / "report.json"), str(out / "sheet.png")):
        typer.echo(line)


def warn_of_judge(condition: str, network: "ControlNet", judge: Mapping[str, Any] | None, data: str) -> None:
    """Say so when the embedded annotator judges pictures that need not be of the tiny world."""
    from zeroconv.conditions import get

    parameters = network.config.extract if judge is None else judge
    warning = get(condition).domain_warning(parameters, "--judge method=…")
    if warning and not data.startswith("world:"):
        tell(Message(warning, "judge.domain"))
