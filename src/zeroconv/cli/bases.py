"""The options that say which base is opened and how, the same for every command that opens one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zeroconv.errors import InputError
from zeroconv.runtime.openvino.library import check_installed

if TYPE_CHECKING:
    import torch

    from zeroconv.generation import BaseRequest
    from zeroconv.generation.pipeline import Runtime as RuntimeName
    from zeroconv.stable_diffusion import StableDiffusion

__all__ = [
    "Device",
    "Embedding",
    "Kind",
    "Lora",
    "Prediction",
    "Runtime",
    "Vae",
    "Weights",
    "open_base",
    "parse_base",
    "parse_runtime",
    "read_base_name",
]

Vae = Annotated[Path | None, typer.Option(help="Another autoencoder for the base: a file or folder.")]
Lora = Annotated[list[str], typer.Option(help="FILE[:WEIGHT], or tiny-few-steps: a LoRA added to the base; may repeat.")]
Embedding = Annotated[list[str], typer.Option(help="FILE[:WORD]: a textual-inversion embedding; may repeat.")]
Prediction = Annotated[str | None, typer.Option(help="What the base predicts, if it is mistaken: epsilon or v_prediction.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; a GPU if there is one.")]
Kind = Annotated[str | None, typer.Option("--dtype", help="fp32, fp16 or bf16; fp16 on a GPU, fp32 on a CPU.")]
Runtime = Annotated[
    str | None,
    typer.Option(
        help="plan (packed), torch, openvino (compiled), auto (the fastest); plan on a CPU from 8 steps on, else torch."
    ),
]
Weights = Annotated[str | None, typer.Option(help="int8: U-Net, text encoders and controls in 8 bits, for less memory.")]

KINDS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def open_base(request: "BaseRequest") -> "StableDiffusion":
    """A base as it is asked for, without the loading bars of the libraries below.

    Raises:
        InputError: when something is not there, broken or does not fit.
    """
    from transformers.utils import logging

    from zeroconv import generation

    logging.disable_progress_bar()
    return generation.open_base(request)


def parse_runtime(name: str | None) -> "RuntimeName | None":
    """The way networks are run; None leaves it open.

    Raises:
        InputError: for OpenVINO where it is not installed.
        typer.BadParameter: for an unknown one.
    """
    if name == "openvino":
        check_installed()
        return name
    if name is None or name == "torch" or name == "plan" or name == "compile" or name == "auto":
        return name
    raise typer.BadParameter(f"--runtime got {name!r}; expected torch, plan, openvino, compile or auto")


def parse_base(
    name: str,
    vae: Path | None = None,
    loras: Sequence[str] = (),
    prediction: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    embeddings: Sequence[str] = (),
    weights: str | None = None,
) -> "BaseRequest":
    """What the options ask for.

    Raises:
        typer.BadParameter: when an option cannot be read.
        InputError: when a number is out of range.
    """
    from zeroconv.generation import BaseRequest

    parsed = [dict(zip(("path", "weight"), parse_lora(lora), strict=True)) for lora in loras]
    place = choose_device(device)
    kind = dtype or ("fp32" if place.type == "cpu" else "fp16")
    parse_dtype(kind)
    if prediction not in (None, "epsilon", "v_prediction"):
        raise typer.BadParameter(f"got --prediction {prediction!r}; expected epsilon or v_prediction")
    if weights not in (None, "int8"):
        raise typer.BadParameter(f"got --weights {weights!r}; expected int8")
    words = [dict(zip(("path", "word"), parse_embedding(text), strict=True)) for text in embeddings]
    values: dict[str, Any] = {"name": name, "vae": vae and str(vae), "prediction_type": prediction, "weights": weights}
    try:
        return BaseRequest.model_validate(
            {**values, "loras": parsed, "embeddings": words, "device": str(place), "dtype": KINDS[kind]}
        )
    except InputError as error:
        if not str(error).startswith("weight"):
            raise
        message = str(error)
        raise InputError(f"the weight of a LoRA{message.removeprefix('weight')}", field="base.loras") from error


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


def parse_embedding(text: str) -> tuple[str, str | None]:
    """File and word from "FILE" or "FILE:WORD"."""
    name, colon, word = text.rpartition(":")
    return (text, None) if not colon or not name or Path(text).exists() else (name, word or None)


def parse_dtype(name: str) -> "torch.dtype":
    """A type of weights.

    Raises:
        typer.BadParameter: listing the known ones.
    """
    import torch

    if name not in KINDS:
        raise typer.BadParameter(f"got --dtype {name!r}; expected one of {', '.join(KINDS)}")
    return getattr(torch, KINDS[name])


def choose_device(name: str | None) -> "torch.device":
    """The device of that name, or the best there is.

    Raises:
        typer.BadParameter: when there is no such device here.
    """
    from zeroconv.generation.base import find_device

    try:
        return find_device(name)
    except InputError:
        raise typer.BadParameter(f"got --device {name!r}, which is not on this machine; expected cpu, cuda or mps") from None


def read_base_name(control: str) -> str | None:
    """The base that a ControlNet's settings name, read before the network is opened: some need it for that."""
    from zeroconv.checkpoints import resolve
    from zeroconv.checkpoints.formats.controlnet_hints import split_condition
    from zeroconv.checkpoints.formats.controlnet_settings import read_stored_config

    config = read_stored_config(resolve(split_condition(control)[0], "ControlNet"))
    return None if config is None else config.base
