"""`zeroconv upscale`: a picture enlarged, and given the detail of its new size, tile by tile."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from zeroconv.cli.bases import Device, Embedding, Kind, Lora, Prediction, Runtime, Vae, open_base, parse_base, parse_runtime
from zeroconv.cli.console import Progress
from zeroconv.cli.controls import Source, parse_controls
from zeroconv.cli.extract import parse_assignment
from zeroconv.cli.folders import output_folder
from zeroconv.cli.generate import finish, name_options
from zeroconv.cli.sampling import Guidance, Images, Negative, Out, SamplerName, Seed, Settings, Steps, WeightingName
from zeroconv.messages import Message, tell

__all__ = ["upscale"]


def upscale(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="A PNG, JPEG or WebP file.")],
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="What each tile shows.")] = "",
    factor: Annotated[float, typer.Option(help="Of its sides, 1 to 8.")] = 2.0,
    strength: Annotated[float, typer.Option(help="Share of the steps that is run: how much may change.")] = 0.35,
    tile: Annotated[int | None, typer.Option(help="Pixels a side of a tile; the base's own size if left out.")] = None,
    overlap: Annotated[int | None, typer.Option(help="Pixels that tiles share; half a tile if left out.")] = None,
    base: Annotated[str, typer.Option(help="Name, folder, file or hub id of the base.")] = "tiny",
    control: Annotated[list[str], typer.Option(help="NAME[:SCALE[:START-END]], its map from PICTURE; may repeat.")] = [],  # noqa: B006
    assignments: Settings = [],  # noqa: B006
    negative: Negative = "",
    seed: Seed = 0,
    num_images: Images = 1,
    steps: Steps = 20,
    guidance: Guidance = 7.5,
    weighting: WeightingName = "uniform",
    sampler: SamplerName = "dpm++2m",
    lora: Lora = [],  # noqa: B006
    embedding: Embedding = [],  # noqa: B006
    vae: Vae = None,
    prediction: Prediction = None,
    device: Device = None,
    dtype: Kind = None,
    runtime: Runtime = None,
    out: Out = Path("outputs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Enlarge a picture by image-to-image in overlapping tiles that are joined at each step."""
    started, how = time.monotonic(), parse_runtime(runtime)
    if assignments and not control:
        raise typer.BadParameter("--set says how the maps of --control are extracted; there is none")
    controls = parse_controls(control, [Source(picture, False)] if control else [], [])
    for one in controls:
        one["extract"] = dict(map(parse_assignment, assignments))
    with output_folder(out):
        from zeroconv import generation
        from zeroconv.generation.upscaling import enlarged_size
        from zeroconv.images import open_image

        small, asked = open_image(picture).size, parse_base(base, vae, lora, prediction, device, dtype, embedding)
        opened = open_base(asked)
        with name_options():
            size = enlarged_size(small, factor, opened.vae_scale_factor)
        if exact := [f"{round(side * factor)}" for side in small if round(side * factor) not in size]:
            said = f"the picture becomes {size[0]}x{size[1]} pixels, multiples of {opened.vae_scale_factor}, and is cut to fit"
            tell(Message(f"{said} (exact: {' and '.join(exact)})", "upscale.size", "info"))
        values: dict[str, Any] = {
            "prompt": prompt,
            "negative_prompt": negative,
            "controls": controls,
            "seed": seed,
            "num_images": num_images,
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "weighting": weighting,
            "sampler": sampler,
            "size": size,
            "resize": "crop",
            "init_image": str(picture),
            "strength": strength,
            "tile": tile or opened.size,
            "tile_overlap": overlap,
        }
        with name_options():
            request = generation.GenerationRequest(**values, base=asked)
            with Progress("step") as progress:
                output, steering = generation.generate(request, opened, runtime=how, on_step=progress)
        saved = generation.save_images(output, steering, out, opened)
    finish(saved, {"settings": [one.without_pictures() for one in output.requests]}, started, as_json)
