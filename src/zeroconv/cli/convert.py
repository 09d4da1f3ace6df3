"""`zeroconv convert`: from any layout of a ControlNet, or of a base, to any other."""

from pathlib import Path
from typing import Annotated

import typer

from zeroconv.cli.bases import open_base, type_named
from zeroconv.cli.console import print_json, say

__all__ = ["convert"]

TARGETS = "diffusers, sharded, webui, lllyasviel, lllyasviel-full, difference, control-lora; of a base: diffusers, original"


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="A file or folder in any layout; .pth and .ckpt too.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for diffusers, a .safetensors or .pth file for others.")],
    to: Annotated[str, typer.Option(help=f"The layout: {TARGETS}.")],
    base: Annotated[str | None, typer.Option(help="The base, where offsets or a whole Stable Diffusion need one.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Of the offsets of control-lora.")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp32, fp16 or bf16; as stored if left out.")] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Megabytes of one file of sharded.")] = 1000,
    condition: Annotated[str | None, typer.Option(help="The condition it follows, to be written down.")] = None,
    pooling: Annotated[bool | None, typer.Option(help="Whether it pools its residuals, as shuffle does.")] = None,
    channel_order: Annotated[str | None, typer.Option(help="rgb, or bgr: the order its maps are read in.")] = None,
    transfer_to: Annotated[str | None, typer.Option(help="Move it from --base to this base of the same family.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a ControlNet or a base in another layout; nothing is written when anything is wrong."""
    from zeroconv.checkpoints.rules import Rules
    from zeroconv.control.conversion import Order, convert_control
    from zeroconv.stable_diffusion.conversion import convert_base, is_base

    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists already: choose another name, or add --overwrite")
    if channel_order not in (None, "rgb", "bgr"):
        raise typer.BadParameter(f"got --channel-order {channel_order!r}; expected rgb or bgr")
    kind = type_named(dtype) if dtype is not None else None
    if is_base(source) or to == "original":
        report = convert_base(source, out, to, kind)
    else:
        bases = [open_base(name, device="cpu", dtype="fp32") if name else None for name in (base, transfer_to)]
        order = Order(to, kind, rank, shard_size * 10**6)
        report = convert_control(source, out, order, Rules(condition, pooling, channel_order), bases[0], bases[1])
    for note in report.notes:
        say(note)
    if as_json:
        print_json({"from": report.layout, "to": to, "tensors": report.tensors, "files": [str(file) for file in report.files]})
        return
    typer.echo(f"{report.layout} -> {to}: {report.tensors} tensors")
    for file in report.files:
        typer.echo(file)
