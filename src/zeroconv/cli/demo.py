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
WEIGHTING = "condition-only"  # the map on the conditional side of guidance: followed best on this base, and sharpest
SCALES = {"depth": 0.7}  # strengths other than 1: depth that is read off a picture has faults, which are followed at 1, too


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the sheet, the report and the pictures.")] = Path("outputs/demo"),
    base: Annotated[str, typer.Option(help="Name or folder of the base.")] = "tiny",
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 12,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first picture.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Make four pictures that obey edges, depth, a pose and a drawing, the same without control, and measure both."""
    started = time.monotonic()
    with output_folder(out), Progress("demo: step") as progress:
        from zeroconv.cli.demo_sheet import Made, open_showpieces, show
        from zeroconv.control import ControlNet
        from zeroconv.generation import Control, ControlPipeline

        opened, pieces = open_base(parse_base(base)), open_showpieces()
        pipeline, total = ControlPipeline(opened), 2 * steps * len(pieces)
        made: list[Made] = []
        for i, piece in enumerate(pieces):
            network = ControlNet.from_pretrained(f"tiny-{piece.condition}", unet=opened.unet)
            scale, before = SCALES.get(piece.condition, 1.0), 2 * steps * i
            control = Control(network, [piece.map], scale, checked=[piece.map])
            request: dict[str, Any] = {
                "seed": seed + i,
                "num_inference_steps": steps,
                "guidance_scale": GUIDANCE,
                "size": piece.map.size,
            }
            plain = pipeline(piece.prompt, on_step=lambda done, _, before=before: progress(before + done, total), **request)
            before += steps
            obeyed = pipeline(
                piece.prompt, [control], weighting=WEIGHTING,
                on_step=lambda done, _, before=before: progress(before + done, total), **request,
            )  # fmt: skip
            made.append(Made(piece, control, obeyed, plain))
        report = show(made, opened, out)
        report["seconds"] = round(time.monotonic() - started, 1)
        write_text(out / "report.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    if as_json:
        print_json({**report, "folder": str(out)})
        return
    scores = [
        f"{one['measure']} {one['score_controlled']:.2f} (without {one['score_uncontrolled']:.2f})"
        for one in report["pictures"]
    ]
    typer.echo(
        f"Four pictures in {report['seconds']:.0f} seconds. How well they obey their maps, with a ControlNet and without:"
    )
    typer.echo(f"{', '.join(scores)}; 1 is a perfect match.")
    typer.echo(f"Look at {out / report['sheet']}. The numbers are in {out / 'report.json'}.")
