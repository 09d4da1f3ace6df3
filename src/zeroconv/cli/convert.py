"""`zeroconv convert`: from any layout of a ControlNet, or of a base, to any other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from zeroconv.cli.bases import Prediction, open_base, parse_base, parse_dtype
from zeroconv.cli.console import print_json
from zeroconv.cli.folders import all_or_nothing
from zeroconv.messages import Message, tell

__all__ = ["convert"]

FOLDERS = ("diffusers", "sharded")
TARGETS = (
    "diffusers, sharded, webui, lllyasviel, lllyasviel-full, difference, control-lora; "
    "of a base: diffusers, original; of an autoencoder: original; of any pickle: safetensors"
)


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="A file or folder in any layout; .pth and .ckpt too.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for diffusers, a .safetensors or .pth file for others.")],
    to: Annotated[str, typer.Option(help=f"The layout: {TARGETS}.")],
    base: Annotated[str | None, typer.Option(help="The base, where offsets or a whole Stable Diffusion need one.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Of the offsets of control-lora.")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp32, fp16 or bf16; as stored if left out.")] = None,
    shard_size: Annotated[int | None, typer.Option(min=1, help="Megabytes of one file of sharded; 1000.")] = None,
    condition: Annotated[str | None, typer.Option(help="The condition it follows, to be written down.")] = None,
    pooling: Annotated[bool | None, typer.Option(help="Whether it pools its residuals, as shuffle does.")] = None,
    channel_order: Annotated[str | None, typer.Option(help="rgb, or bgr: the order its maps are read in.")] = None,
    transfer_to: Annotated[str | None, typer.Option(help="Move it from --base to this base of the same family.")] = None,
    prediction: Prediction = None,
    ema: Annotated[bool | None, typer.Option("--ema", help="Take the averaged weights of a base that holds both.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a ControlNet, a base or an autoencoder in another layout; nothing is written when anything is wrong."""
    from zeroconv.checkpoints.formats.controlnet_hints import ControlNetHints
    from zeroconv.checkpoints.formats.controlnet_layouts import LAYOUTS
    from zeroconv.conditions import get
    from zeroconv.conversion.base import convert_base, convert_tensors, convert_vae, is_base, is_vae
    from zeroconv.conversion.controlnet import ConversionOptions, convert_control

    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists already: choose another name, or add --overwrite")
    if to not in (*LAYOUTS, "sharded", "original", "safetensors"):
        raise typer.BadParameter(f"got --to {to!r}; expected one of {TARGETS}")
    if (out.is_dir() and to not in FOLDERS) or (out.is_file() and to in FOLDERS):
        there, wanted = ("folder", "file") if out.is_dir() else ("file", "folder")
        raise ValueError(f"{out} is a {there}, the layout {to!r} is a {wanted}: choose another name")
    if channel_order not in (None, "rgb", "bgr"):
        raise typer.BadParameter(f"got --channel-order {channel_order!r}; expected rgb or bgr")
    kind = parse_dtype(dtype) if dtype is not None else None
    hints = ControlNetHints(get(condition).name if condition is not None else None, pooling, channel_order)
    of_controls = {"--base": base, "--rank": rank, "--condition": condition, "--pooling": pooling,
                   "--channel-order": channel_order, "--transfer-to": transfer_to, "--shard-size": shard_size}  # fmt: skip
    of_bases = {"--prediction": prediction, "--ema": ema}
    as_it_is = to == "safetensors"
    of_vae = not as_it_is and is_vae(source)
    of_base = not of_vae and not as_it_is and (to == "original" or is_base(source))
    if as_it_is:
        check_options(of_controls | of_bases, "a file that keeps its names")
    elif of_vae:
        check_options(of_controls | of_bases, "an autoencoder")
        if to != "original":
            raise typer.BadParameter(f"got --to {to!r}; an autoencoder alone is written as 'original', one file for --vae")
    elif of_base:
        check_options(of_controls, "a base")
    else:
        check_options(of_bases, "a ControlNet")
    if prediction not in (None, "epsilon", "v_prediction"):
        raise typer.BadParameter(f"got --prediction {prediction!r}; expected epsilon or v_prediction")
    with all_or_nothing(out):
        if as_it_is:
            report = convert_tensors(source, out, kind)
        elif of_vae:
            report = convert_vae(source, out, kind)
        elif of_base:
            report = convert_base(source, out, to, kind, prediction, bool(ema))
        else:
            bases = [open_base(parse_base(name, device="cpu", dtype="fp32")) if name else None for name in (base, transfer_to)]
            report = convert_control(
                source, out, ConversionOptions(to, kind, rank, (shard_size or 1000) * 10**6), hints, *bases
            )
    for note in report.notes:
        tell(Message(note, "convert.note", "info"))
    if as_json:
        print_json({"from": report.layout, "to": to, "tensors": report.tensors, "files": [str(file) for file in report.files]})
        return
    typer.echo(f"{report.layout} -> {to}: {report.tensors} tensors")
    for file in report.files:
        typer.echo(file)


def check_options(given: Mapping[str, object], what: str) -> None:
    """Refuse options that say nothing about what is converted.

    Raises:
        typer.BadParameter: naming the first.
    """
    option = next((option for option, value in given.items() if value is not None), None)
    if option is not None:
        raise typer.BadParameter(f"{option} does not apply to {what}: leave it out")
