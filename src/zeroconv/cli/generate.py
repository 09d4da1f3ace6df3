"""`zeroconv generate`: pictures from a prompt and any number of controls, or a saved picture again."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand

from zeroconv.cli.bases import (
    Device,
    Embedding,
    Kind,
    Lora,
    Prediction,
    Runtime,
    Vae,
    Weights,
    open_base,
    parse_base,
    parse_runtime,
)
from zeroconv.cli.console import Progress, print_json, say
from zeroconv.cli.controls import MODES, Source, parse_controls, parse_mode, parse_size
from zeroconv.cli.extract import parse_assignment
from zeroconv.cli.folders import output_folder
from zeroconv.cli.sampling import Guidance, Images, Negative, Out, SamplerName, Seed, Settings, Steps, WeightingName
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from PIL.Image import Image

    from zeroconv.generation import SavedImages

__all__ = ["Ordered", "generate"]

Files = list[Path]
OPTIONS = {
    "guidance_scale": "--guidance", "num_inference_steps": "--steps", "num_images": "--num-images", "seed": "--seed",
    "weighting": "--weighting", "sampler": "--sampler", "size.0": "--size", "size.1": "--size",
    "init_image": "--init", "mask_image": "--init-mask", "strength": "--strength", "factor": "--factor",
    "tile": "--tile", "tile_overlap": "--overlap",
    "control_guidance_scale": "--control-guidance", "control_every": "--control-every", "encoder_every": "--encoder-every",
    "vae_tile": "--vae-tiles", "offload": "--offload",
}  # fmt: skip
"""What users type for a field of the request."""


class Ordered(TyperCommand):
    """A command that remembers in which order `--image` and `--condition` came, for they pair with the controls.

    And `--resize` may stand alone or have a mode after it.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, keeping the order."""
        alone = [word == "--resize" and after not in MODES for word, after in zip_longest(args, args[1:])]
        args = ["--resize=crop" if lonely else word for word, lonely in zip(args, alone, strict=True)]
        names = [word.partition("=")[0] for word in args]
        ctx.meta["zeroconv.sources"] = [name for name in names if name in ("--image", "--condition")]
        return super().parse_args(ctx, args)


def generate(
    ctx: typer.Context,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="What to see.")] = None,
    base: Annotated[str, typer.Option(help="Name, folder, file or hub id of the base.")] = "tiny",
    control: Annotated[list[str], typer.Option(help="NAME[:SCALE[:START-END]]; may repeat.")] = [],  # noqa: B006
    image: Annotated[Files, typer.Option(help="A picture for a control to extract its map from.")] = [],  # noqa: B006
    condition: Annotated[Files, typer.Option(metavar="[NAME=]PATH", help="A ready map for a control; or NAME=none.")] = [],  # noqa: B006
    assignments: Settings = [],  # noqa: B006
    mask: Annotated[Files, typer.Option(help="Where a control acts: white yes, black no.")] = [],  # noqa: B006
    init: Annotated[Path | None, typer.Option(metavar="PICTURE", help="Start from this picture, not from noise.")] = None,
    strength: Annotated[
        float | None, typer.Option(help="How far from --init: share of the steps run, 0.75 if left out.")
    ] = None,
    init_mask: Annotated[Path | None, typer.Option(help="Where --init is painted anew: white yes, black stays.")] = None,
    negative: Negative = "",
    plain_prompt: Annotated[bool, typer.Option("--plain-prompt", help="(word:1.3), [word] and BREAK are mere words.")] = False,
    seed: Seed = 0,
    num_images: Images = 1,
    steps: Steps = 20,
    guidance: Guidance = 7.5,
    control_guidance: Annotated[
        float | None, typer.Option(help="Guidance scale of the controls themselves; 1 is their plain effect.")
    ] = None,
    weighting: WeightingName = "uniform",
    sampler: SamplerName = "dpm++2m",
    size: Annotated[str | None, typer.Option(help="PIXELS or WIDTHxHEIGHT; the base's own if left out.")] = None,
    resize: Annotated[
        str | None,
        typer.Option(metavar="[MODE]", help="Fit maps and masks of another size: crop (or no word), stretch or fill."),
    ] = None,
    control_every: Annotated[int, typer.Option(help="Compute controls in every so many-th step only: sooner, less exact.")] = 1,
    encoder_every: Annotated[int, typer.Option(help="So the encoder with the controls; the decoder runs in every step.")] = 1,
    lora: Lora = [],  # noqa: B006
    embedding: Embedding = [],  # noqa: B006
    vae: Vae = None,
    prediction: Prediction = None,
    device: Device = None,
    dtype: Kind = None,
    runtime: Runtime = None,
    weights: Weights = None,
    vae_tiles: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Decode larger pictures in tiles of this size, for less memory.")
    ] = None,
    offload: Annotated[
        str | None,
        typer.Option(metavar="[model|sequential]", help="Keep weights off the GPU but while a network, or a layer, computes."),
    ] = None,
    out: Out = Path("outputs"),
    again: Annotated[Path | None, typer.Option(help="Make this saved picture again; other options are ignored.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make pictures that follow a prompt and maps.

    Each --control takes the next --image (a picture: its map is extracted) or --condition (a ready map). One of several
    conditions takes an --image, --condition NAME=PATH for each map, or both; NAME=none leaves a map out. Where there is
    neither, the maps are extracted from --init.
    """
    started = time.monotonic()
    if again is not None:
        say_ignored(ctx)
        finish(*make_again(again, out), started, as_json)
        return
    if prompt is None:
        raise typer.BadParameter("expected --prompt TEXT, or --again PICTURE")
    if init is None and init_mask is not None:
        raise typer.BadParameter("--init-mask says where a picture is painted anew; expected --init PICTURE too")
    sources = in_order(ctx.meta["zeroconv.sources"], image, condition)
    if control and not sources and init is not None:
        sources = [Source(init, False)]
    controls = parse_controls(control, sources, mask)
    if assignments and not any(one.get("image") for one in controls):
        raise typer.BadParameter("--set says how maps are extracted from --image; there is none")
    for one in controls:
        one["extract"] = dict(map(parse_assignment, assignments)) if one.get("image") else {}
    how = parse_runtime(runtime)
    if offload is not None and offload != "model" and offload != "sequential":
        raise typer.BadParameter(f"got --offload {offload!r}; expected model or sequential")
    values: dict[str, Any] = {
        "prompt": prompt,
        "negative_prompt": negative,
        "controls": controls,
        "seed": seed,
        "num_images": num_images,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "control_guidance_scale": control_guidance,
        "weighting": weighting,
        "sampler": sampler,
        "plain_prompt": plain_prompt,
        "control_every": control_every,
        "encoder_every": encoder_every,
        "size": parse_size(size) if size else None,
        "resize": parse_mode(resize),
        "init_image": init and str(init),
        "mask_image": init_mask and str(init_mask),
        **({} if strength is None else {"strength": strength}),
    }
    with output_folder(out):
        from zeroconv import generation

        asked = parse_base(base, vae, lora, prediction, device, dtype, embedding, weights)
        with name_options():
            request = generation.GenerationRequest(**values, base=asked)
        opened = open_base(request.base)
        with name_options(), Progress("step") as progress:
            output, steering = generation.generate(
                request, opened, runtime=how, vae_tile=vae_tiles, offload=offload, on_step=progress
            )
        saved = generation.save_images(output, steering, out, opened)
    finish(saved, {"settings": [one.without_pictures() for one in output.requests]}, started, as_json)


@contextmanager
def name_options() -> Generator[None]:
    """A value of the request that cannot be used is named by its option.

    Raises:
        InputError: in place of one that names the field.
    """
    try:
        yield
    except InputError as error:
        option, message = OPTIONS.get(error.field or ""), str(error)
        if option is None or error.field is None or not message.startswith(error.field):
            raise
        raise InputError(option + message.removeprefix(error.field), field=error.field) from error


def in_order(order: list[str], images: Files, conditions: Files) -> list[Source]:
    """`--image` and `--condition` as they came."""
    queues = {"--image": iter(images), "--condition": iter(conditions)}
    return [Source.parse(next(queues[name]), name == "--condition") for name in order]


def say_ignored(ctx: typer.Context) -> None:
    """Say which options do nothing, for a saved picture has settings of its own."""
    for parameter in ctx.command.params:
        name = parameter.name or ""
        given = getattr(ctx.get_parameter_source(name), "name", None) == "COMMANDLINE"
        if given and name not in ("again", "out", "as_json"):
            text = f"{parameter.opts[0]} has no effect: --again makes the picture with its own settings"
            tell(Message(text, "no-effect.again"))


def make_again(path: Path, out: Path) -> "tuple[SavedImages, dict[str, Any]]":
    """Make a saved picture again, and compare."""
    from transformers.utils import logging

    from zeroconv.generation import reproduce, save_images
    from zeroconv.images import open_image

    logging.disable_progress_bar()
    before = open_image(path)
    with output_folder(out):
        output, controls, base = reproduce(path)
        same = output.images[0].tobytes() == before.tobytes()
        if same or not differ_by_rounding(output.images[0], before):
            say(f"{'' if same else 'not '}the same pixels as {path}")
        else:
            say(f"the same pixels as {path} up to rounding, as another --runtime or processor gives them")
        settings = [one.without_pictures() for one in output.requests]
        return save_images(output, controls, out, base), {"settings": settings, "same_pixels": same}


def differ_by_rounding(one: "Image", other: "Image") -> bool:
    """Whether no channel of two pictures, alike in size and mode, differs by more than 2 of 255."""
    if (one.size, one.mode) != (other.size, other.mode):
        return False
    from PIL import ImageChops

    extrema = ImageChops.difference(one, other).getextrema()
    return max(high for _, high in cast("tuple[tuple[int, int], ...]", extrema)) <= 2


def finish(saved: "SavedImages", report: dict[str, Any], started: float, as_json: bool) -> None:
    """Print where the pictures are."""
    if as_json:
        files = {"pictures": [str(path) for path in saved.pictures], "maps": [str(path) for path in saved.maps]}
        print_json({**files, **report, "seconds": round(time.monotonic() - started, 2)})
        return
    for path in (*saved.pictures, *saved.maps):
        typer.echo(path)
