"""`zeroconv evaluate`: how well pictures obey their conditions, those of a ControlNet or of any folder."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zeroconv.cli.bases import Device, Kind, Lora, Prediction, Runtime, Vae, Weights, parse_base, read_base_name
from zeroconv.cli.evaluate_control import evaluate_control
from zeroconv.cli.extract import parse_assignment
from zeroconv.cli.judge import judge_pictures
from zeroconv.cli.protocols import choose_options, follow, written_options

__all__ = ["evaluate"]


def evaluate(
    ctx: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="Pictures to judge, whatever made them.", show_default=False)] = None,
    control: Annotated[str | None, typer.Option(help="Or the ControlNet to make them with: name, folder or run.")] = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="As it says: paper, controlnet++, controlnet++-corrected or tiny.")
    ] = None,
    data: Annotated[str, typer.Option(help="Held-out pairs: a folder, or world:COUNT@FIRST_SEED.")] = "world:200@900000000",
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("outputs/evaluation"),
    base: Annotated[str | None, typer.Option(help="The base; the one the ControlNet names if left out.")] = None,
    condition: Annotated[
        str | None, typer.Option(help="The condition; the one that the ControlNet, manifest or folder of maps names.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="The first so many pairs or pictures alone.")] = None,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 20,
    guidance: Annotated[float, typer.Option(help="Guidance scale.")] = 7.5,
    control_guidance: Annotated[
        float | None, typer.Option(help="Guidance scale of the control itself; 1 is its plain effect.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Strength of the control.")] = 1.0,
    weighting: Annotated[str, typer.Option(help="uniform, resolution, decay or condition-only.")] = "uniform",
    sampler: Annotated[
        str, typer.Option(help="ddim, dpm++2m, dpm++2m-sde, dpm++sde, euler, euler-a, heun, unipc or lcm; Karras behind it.")
    ] = "dpm++2m",
    negative: Annotated[str, typer.Option(help="What not to see.")] = "",
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the first pair.")] = 0,
    per_map: Annotated[int, typer.Option("--pictures-per-map", min=1, help="Made of each pair, with seeds of their own.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs computed together.")] = 8,
    steps_curve: Annotated[
        str, typer.Option(metavar="STEPS,...", help="Fidelity at these numbers of steps too, on 32 pairs; or none.")
    ] = "2,4,8,12,20",
    conflict: Annotated[
        bool, typer.Option("--conflict", help="Also with prompts of other pairs, which contradict the maps.")
    ] = False,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Make the I-th of N parts of the pictures alone.")] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="This process, or Ray: the cluster of RAY_ADDRESS, if set.")
    ] = "local",
    fresh: Annotated[bool, typer.Option("--fresh", help="Remove the pictures in --out and make them anew.")] = False,
    judge: Annotated[list[str], typer.Option(metavar="KEY=VALUE", help="Who reads maps back, such as method=dpt.")] = [],  # noqa: B006
    maps: Annotated[Path | None, typer.Option(help="Of FOLDER: its maps by stem; those of its manifest if left out.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Of FOLDER: the true pictures by stem; theirs is the ceiling.")] = None,
    against: Annotated[Path | None, typer.Option(help="Of FOLDER: other pictures of the same maps and prompts.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="Of FOLDER: STEM.txt files, or a list with stem and prompt.")] = None,
    size: Annotated[str | None, typer.Option(help="Of FOLDER: judge all at this size, PIXELS or WIDTHxHEIGHT.")] = None,
    resize: Annotated[
        str | None, typer.Option(help="Of FOLDER: how maps of another shape were fitted: crop, stretch or fill.")
    ] = None,
    features: Annotated[
        list[str], typer.Option(metavar="NAME", help="Measure whole sets on these: inception:FILE, tiny-clip, or any CLIP.")
    ] = [],  # noqa: B006
    aesthetic: Annotated[str | None, typer.Option(help="A linear head on the CLIP of --features, such as LAION's.")] = None,
    reference: Annotated[Path | None, typer.Option(help="Real pictures that sets are compared with; the true ones.")] = None,
    lora: Lora = [],  # noqa: B006
    vae: Vae = None,
    prediction: Prediction = None,
    device: Device = None,
    dtype: Kind = None,
    runtime: Runtime = None,
    weights: Weights = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Measure how well pictures obey their maps.

    Of FOLDER: its pictures, whatever made them. With --control: pictures made with it, without it, and the best that this
    base could do; run again, it goes on where it stopped.
    """
    parameters, followed = dict(map(parse_assignment, judge)), follow(protocol)
    of_folder: dict[str, Any] = {
        "maps": maps,
        "truth": truth,
        "against": against,
        "prompts": prompts,
        "size": size,
        "resize": resize,
    }
    sets: dict[str, Any] = {"features": features, "aesthetic": aesthetic, "reference": reference}
    if folder is not None and control is None:
        judge_pictures(
            folder, out, **of_folder, **sets, condition=condition, judge=parameters, count=count, as_json=as_json,
            device=device, followed=followed,
        )  # fmt: skip
        return
    if folder is not None or control is None:
        raise typer.BadParameter("expected a FOLDER of pictures, or --control NAME to make them with")
    for name, value in of_folder.items():
        if value is not None:
            raise typer.BadParameter(f"--{name} is about a FOLDER of pictures; there is none")
    made = {"steps": steps, "guidance": guidance, "scale": scale, "weighting": weighting, "sampler": sampler, "seed": seed}
    made |= {"negative": negative, "per_map": per_map, "data": data, "count": count, "control_guidance": control_guidance}
    evaluate_control(
        control, out, condition=condition, judge=parameters or None, as_json=as_json, runtime=runtime, followed=followed,
        base=lambda: parse_base(
            base or read_base_name(control) or "tiny", vae, lora, prediction, device, dtype, weights=weights
        ),
        **sets, **choose_options(followed, made, written_options(ctx)),
        batch_size=batch_size, curve=parse_curve(steps_curve), conflict=conflict, shard=shard, engine=engine, fresh=fresh,
    )  # fmt: skip


def parse_curve(text: str) -> tuple[int, ...]:
    """Numbers of steps from "2,4,8", or none.

    Raises:
        typer.BadParameter: when they cannot be read.
    """
    words = [] if text == "none" else [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and 1 <= int(word) <= 999 for word in words):
        raise typer.BadParameter(f"got --steps-curve {text!r}; expected numbers of steps from 1 to 999, such as 2,4,8, or none")
    return tuple(map(int, words))
