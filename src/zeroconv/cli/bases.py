"""The options that say which base is opened and how, the same for every command that opens one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zeroconv.cli.console import say

if TYPE_CHECKING:
    import torch

    from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["Device", "Kind", "Lora", "Prediction", "Vae", "open_base", "read_base_name"]

Vae = Annotated[Path | None, typer.Option(help="Another autoencoder for the base: a file or folder.")]
Lora = Annotated[list[str], typer.Option(help="FILE[:WEIGHT]: a LoRA added to the base; may repeat.")]
Prediction = Annotated[str | None, typer.Option(help="What the base predicts, if it is mistaken: epsilon or v_prediction.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; a GPU if there is one.")]
Kind = Annotated[str | None, typer.Option("--dtype", help="fp32, fp16 or bf16; fp16 on a GPU, fp32 on a CPU.")]

KINDS = ("fp32", "fp16", "bf16")


def open_base(
    name: str,
    vae: Path | None = None,
    loras: Sequence[str] = (),
    prediction: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> "StableDiffusion":
    """A base as the options ask for it, without the loading bars of the libraries below.

    Raises:
        typer.BadParameter: when an option cannot be read.
        FileNotFoundError: when something is not there.
        ValueError: when something is broken or does not fit.
    """
    from transformers.utils import logging

    from zeroconv.stable_diffusion import StableDiffusion

    parsed = [parse_lora(lora) for lora in loras]
    place = choose_device(device)
    kind = parse_dtype(dtype or ("fp32" if place.type == "cpu" else "fp16"))
    if prediction not in (None, "epsilon", "v_prediction"):
        raise typer.BadParameter(f"got --prediction {prediction!r}; expected epsilon or v_prediction")
    logging.disable_progress_bar()
    base = StableDiffusion.from_pretrained(name, dtype=kind, vae=vae, prediction_type=prediction)
    for path, weight in parsed:
        say(str(base.add_lora(path, weight)))
    return base.to(place)


def parse_lora(text: str) -> tuple[str, float]:
    """File and weight from "FILE" or "FILE:WEIGHT".

    Raises:
        typer.BadParameter: when the weight is no number.
    """
    name, colon, weight = text.rpartition(":")
    if not colon or Path(text).exists():
        return text, 1.0
    try:
        if not name:
            raise ValueError
        return name, float(weight)
    except ValueError:
        raise typer.BadParameter(f"got --lora {text!r}; expected FILE or FILE:WEIGHT, such as style.safetensors:0.8") from None


def parse_dtype(name: str) -> "torch.dtype":
    """A type of weights.

    Raises:
        typer.BadParameter: listing the known ones.
    """
    import torch

    if name not in KINDS:
        raise typer.BadParameter(f"got --dtype {name!r}; expected one of {', '.join(KINDS)}")
    return dict(zip(KINDS, (torch.float32, torch.float16, torch.bfloat16), strict=True))[name]


def choose_device(name: str | None) -> "torch.device":
    """The device of that name, or the best there is.

    Raises:
        typer.BadParameter: when there is no such device here.
    """
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.empty(0, device=name).device
        if device.type == "meta":  # holds no numbers
            raise RuntimeError
        return torch.device(name)
    except (RuntimeError, AssertionError):
        raise typer.BadParameter(f"got --device {name!r}, which is not on this machine; expected cpu, cuda or mps") from None


def read_base_name(control: str) -> str | None:
    """The base that a ControlNet's settings name, read before the network is opened: some need it for that."""
    from zeroconv.checkpoints import resolve
    from zeroconv.checkpoints.formats.controlnet_file import read_stored_config

    config = read_stored_config(resolve(control, "ControlNet"))
    return None if config is None else config.base
