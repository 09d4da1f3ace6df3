"""`zeroconv demo`: the main job on the embedded base, in one sheet."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.cli.bases import open_base, parse_base
from zeroconv.cli.console import Progress, print_json
from zeroconv.cli.folders import output_folder

__all__ = ["demo"]

GUIDANCE = 4.0  # the tiny base likes less than Stable Diffusion's 7.5


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the sheet, the report and the pictures.")] = Path("outputs/demo"),
    base: Annotated[str, typer.Option(help="Name or folder of the base.")] = "tiny",
    control: Annotated[str, typer.Option(help="Name or folder of a ControlNet for canny edges.")] = "tiny-canny",
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first picture.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Make four pictures that obey an edge map, the same without control, and measure both."""
    started = time.monotonic()
    with output_folder(out), Progress("demo: step") as progress:
        from zeroconv.cli.demo_sheet import open_showpieces, show
        from zeroconv.control import ControlNet
        from zeroconv.generation import Control, ControlPipeline

        opened, pieces = open_base(parse_base(base)), open_showpieces()
        network = ControlNet.from_pretrained(control, unet=opened.unet)
        pipeline, prompts, total = ControlPipeline(opened), [piece.prompt for piece in pieces], 2 * steps * len(pieces)
        edges = [piece.edges for piece in pieces]
        controls = [Control(network, edges, checked=edges)]
        seeds = [seed + i for i in range(len(pieces))]
        request: dict[str, Any] = {
            "seed": seeds,
            "num_inference_steps": steps,
            "guidance_scale": GUIDANCE,
            "size": pieces[0].edges.size,
        }
        controlled = pipeline(prompts, controls, on_step=lambda done, _: progress(done, total), **request)
        uncontrolled = pipeline(prompts, on_step=lambda done, _: progress(total // 2 + done, total), **request)
        report = show(pieces, opened, controls, controlled, uncontrolled, out)
        report["seconds"] = round(time.monotonic() - started, 1)
        write_text(out / "report.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    if as_json:
        print_json({**report, "folder": str(out)})
        return
    without, obeyed = report["edge_f1_uncontrolled"], report["edge_f1_controlled"]
    typer.echo(
        f"Four pictures in {report['seconds']:.0f} seconds. Their edges meet the map to {obeyed:.2f} with the ControlNet,"
    )
    typer.echo(f"to {without:.2f} without it (edge F1: 1 is a perfect match).")
    typer.echo(f"Look at {out / report['sheet']}. The numbers are in {out / 'report.json'}.")
