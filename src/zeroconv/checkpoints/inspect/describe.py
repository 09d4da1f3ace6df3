"""What is in this file or folder? Told without building anything from it."""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from zeroconv.checkpoints.architecture.unet_shape import UNetShape, mismatch, unsupported
from zeroconv.checkpoints.files.atomic import read_json
from zeroconv.checkpoints.files.safetensors import read_header
from zeroconv.checkpoints.files.shards import STEM, weight_files
from zeroconv.checkpoints.files.torch_pickle import PICKLE_ENDINGS
from zeroconv.checkpoints.files.wrappers import read_published_header, wrapper_of
from zeroconv.checkpoints.formats.control_lora import FILE as CONTROL_LORA
from zeroconv.checkpoints.formats.controlnet_config import CLASS_NAME
from zeroconv.checkpoints.inspect.connections import untouched_connections
from zeroconv.checkpoints.inspect.contents import (
    EXPECTED,
    Contents,
    contents_of,
    details_of,
    fits_of,
    own_control_contents,
)
from zeroconv.checkpoints.inspect.headers import count, merge_headers, types

__all__ = ["describe"]

XL_PIPELINE = "StableDiffusionXLPipeline"
PARTS, XL_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler"), ("text_encoder_2", "tokenizer_2")
"""Folders of a base, as opening asks for them."""
PUBLISHED_WIDTHS = 4
"""Widths of the condition encoder of every published ControlNet."""


def describe(path: Path, hashed: bool = True) -> Contents:
    """Look at a file or folder without building anything from it.

    Args:
        path: a `.safetensors` file, or a folder in the diffusers layout.
        hashed: whether to read a file to its end for its SHA-256.

    Raises:
        FileNotFoundError: when there is nothing.
        ValueError: when it is broken, a pickle, or nothing that can be looked into.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}")
    if path.is_dir():
        return describe_folder(path, hashed)
    if path.suffix in PICKLE_ENDINGS:
        raise ValueError(
            f"{path} is a pickle: only `zeroconv convert {path} OUT.safetensors --to …` opens it, as tensors alone"
        )
    header = read_published_header(path)
    found = contents_of(path, header)
    prefix = wrapper_of(read_header(path).shapes)
    left = {"prefix": f"{prefix} before every name, passed over"} if prefix else {}
    return replace(found, details={**found.details, **left, **connections_of([path])}, sha256=hash_of(path) if hashed else None)


def connections_of(files: Iterable[Path]) -> dict[str, str]:
    """A detail that is there when connections of a ControlNet are still exactly zero."""
    said = untouched_connections(files)
    return {"connections": said} if said else {}


def describe_folder(path: Path, hashed: bool) -> Contents:
    """A base, or a model folder; of a training run, its ControlNet."""
    if (path / "model_index.json").is_file():
        return describe_base_folder(path)
    run = path / "controlnet"
    folder = run if not (path / "config.json").is_file() and (run / "config.json").is_file() else path
    if not (folder / "config.json").is_file():
        raise ValueError(f"{path} is no model folder: it has neither model_index.json nor config.json")
    config = read_json(folder / "config.json")
    details = {"class": str(config.get("_class_name")), **details_of(config)}
    lora = folder / CONTROL_LORA
    stem = "model" if (folder / "model.safetensors").is_file() else STEM
    files = [lora] if details.get("variant") == "lora" else weight_files(folder, stem)
    headers = [read_published_header(file) for file in files]
    widths = config.get("conditioning_embedding_out_channels")
    other_widths = isinstance(widths, list) and len(widths) != PUBLISHED_WIDTHS
    own = details.get("variant") == "lite" or details.get("condition encoder") == "paper" or other_widths
    found = own_control_contents(folder, merge_headers(headers), config) if own else contents_of(folder, merge_headers(headers))
    if found.kind == "ControlNet" and not own and found.layout == "diffusers" and found.refused is None:
        shape_config = {**config, "_class_name": CLASS_NAME}
        if differs := mismatch(shape_config, merge_headers(headers).shapes):
            found = replace(found, refused=f"its config.json says {differs}: they are of two networks", fits="")
    return replace(
        found,
        layout="diffusers, sharded" if len(files) > 1 else found.layout,
        bytes=sum(file.stat().st_size for file in files),
        details={**details, **found.details, **connections_of(files)},
        sha256=hash_of(files[0]) if hashed and len(files) == 1 else None,
    )


def describe_base_folder(path: Path) -> Contents:
    """A base in the diffusers layout."""
    index = read_json(path / "model_index.json")
    parts = {part: path / part for part in ("unet", "vae", "text_encoder", "text_encoder_2") if (path / part).is_dir()}
    files = {part: weight_files(folder, "model" if "text" in part else STEM) for part, folder in parts.items()}
    headers = {part: merge_headers([read_header(file) for file in found]) for part, found in files.items()}
    if (path / "transformer").is_dir():
        raise ValueError(f"{path} is a {index.get('_class_name')!s:.60}, which this project does not open; {EXPECTED}")
    if "unet" not in headers:
        raise ValueError(f"{path} is no complete base: it has no folder 'unet'")
    unet_shape = UNetShape.of_diffusers(headers["unet"].shapes)
    scheduler = path / "scheduler" / "scheduler_config.json"
    noise = read_json(scheduler) if scheduler.is_file() else {}
    xl = index.get("_class_name") == XL_PIPELINE
    needed = (*PARTS, *XL_PARTS) if xl else PARTS
    everything, refused = merge_headers(list(headers.values())), unsupported(unet_shape)
    if refused is None and (differs := mismatch(read_json(path / "unet" / "config.json"), headers["unet"].shapes)):
        refused = f"the U-Net's configuration says {differs}: they are of two networks"
    missing = tuple(part for part in needed if not (path / part).is_dir())
    lacking = next((part for part in missing if part != "vae"), None)  # which a user may give beside it
    if lacking is not None:
        refused = refused or f"it is not a complete base: it has no folder {lacking!r} (needed: {', '.join(needed)})"
    elif xl is not (unet_shape.pooled is not None):
        refused = refused or f"its model_index.json says {index.get('_class_name')!s:.60}, its U-Net is of another family"
    return Contents(
        path, "base", "diffusers", unet_shape.family, count(everything), types(everything),
        sum(file.stat().st_size for found in files.values() for file in found),
        {"class": str(index.get("_class_name")), "prediction": str(noise.get("prediction_type", "epsilon")),
         "widths": ", ".join(map(str, unet_shape.channels)), "text width": str(unet_shape.context)},
        missing, refused, "" if refused else fits_of("base", unet_shape),
    )  # fmt: skip


def hash_of(path: Path) -> str:
    """SHA-256 of a file; panels show its first ten digits."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()
