"""From the base of a request to an open base and back."""

from pathlib import Path

import torch

from zeroconv.errors import InputError, name_field
from zeroconv.generation.request import BaseRequest, GenerationRequest
from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["check_base_name", "describe_base", "find_device", "open_base"]


def open_base(request: BaseRequest) -> StableDiffusion:
    """The base with its LoRAs, on its device; what each of them changed is told.

    Args:
        request: which, and how.

    Raises:
        InputError: when something is not there, broken, or does not fit: of the field "base" or a part of it.
    """
    device = find_device(request.device)
    dtype = getattr(torch, request.dtype or ("float32" if device.type == "cpu" else "float16"))
    options = request.model_dump(include={"vae", "prediction_type", "family", "ema"})
    with name_field("base"):
        stored = request.weights is not None and not request.loras  # no weight is in memory in full
        base = StableDiffusion.from_pretrained(request.name, dtype=None if stored else dtype, **options)
    for index, lora in enumerate(request.loras):
        with name_field(f"base.loras.{index}"):
            report = base.add_lora(lora.path, lora.weight)
        tell(Message(str(report), "lora.merged", "info"))
        if not any(report.change.values()):
            tell(Message(f"{lora.path} changes no weight at all: it has no effect", "no-effect.lora"))
    for index, embedding in enumerate(request.embeddings):
        with name_field(f"base.embeddings.{index}"):
            base.add_embedding(embedding.path, embedding.word)
    return base.to(device) if request.weights is None else base.quantize(dtype).to(device)


def find_device(name: str | None) -> torch.device:
    """The device of that name, or the best there is.

    Raises:
        InputError: when there is no such device here.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        if torch.empty(0, device=name).device.type == "meta":  # holds no numbers
            raise RuntimeError
        return torch.device(name)
    except (RuntimeError, AssertionError):
        message = f"device is {name!r}, which is not on this machine; expected cpu, cuda or mps"
        raise InputError(message, field="base.device") from None


def describe_base(base: StableDiffusion) -> BaseRequest:
    """What opens a base again: name, options, LoRAs, device and dtype."""
    loras = [{"path": path, "weight": weight} for path, weight in base.options.get("loras", ())]
    words = [{"path": path, "word": word} for path, word in base.options.get("embeddings", ())]
    added = {"loras": loras, "embeddings": words}
    options = {**base.options, **added, "device": base.device.type, "dtype": str(base.dtype).removeprefix("torch.")}
    return BaseRequest.model_validate({"name": base.name, **options})


def check_base_name(request: GenerationRequest, base: StableDiffusion) -> None:
    """That an open base is the one a request names, if it names one; of a hub id the revision is left to whoever opened it.

    Raises:
        InputError: when it is another.
    """
    asked, got = (Path(name.partition("@")[0]).absolute() for name in (request.base.name, base.name))
    if "base" in request.model_fields_set and asked != got:
        raise InputError(f"the request is for the base {request.base.name!r}, the open one is {base.name!r}", field="base")
