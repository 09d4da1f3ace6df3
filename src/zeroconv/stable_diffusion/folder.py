"""From a folder in the diffusers layout to the parts of a base; nothing is imported because a file says so."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPTokenizer

from zeroconv.checkpoints.files.atomic import read_json
from zeroconv.checkpoints.files.model_folder import read_config
from zeroconv.checkpoints.files.shards import read_weights
from zeroconv.stable_diffusion.build import build_text_encoder, build_unet
from zeroconv.stable_diffusion.vae import VAE_CLASS, open_vae

__all__ = ["PARTS", "XL_PARTS", "Parts", "check_parts", "open_folder"]

PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
XL_PARTS = ("text_encoder_2", "tokenizer_2")
CLASSES = {
    "unet": ("UNet2DConditionModel",),
    "vae": (VAE_CLASS,),
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
"""What each part may be; it is built from these classes, whatever `model_index.json` says."""
NOT_NEEDED = ("safety_checker", "feature_extractor", "image_encoder")
LIBRARIES = ("diffusers", "transformers")
PREDICTIONS = ("epsilon", "v_prediction")


@dataclass(frozen=True)
class Parts:
    """What a base is made of; see `StableDiffusion`, which has the same fields."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler_config: dict[str, Any]
    text_encoder_2: Any = None
    tokenizer_2: Any = None
    force_zeros_for_empty_prompt: bool = False


def open_folder(
    folder: Path,
    dtype: torch.dtype | None = torch.float32,
    vae: str | Path | None = None,
    prediction_type: str | None = None,
) -> Parts:
    """The parts in a folder in the diffusers layout, from safetensors alone.

    Args:
        folder: with `model_index.json` and a folder for each part.
        dtype: type of the weights; None as stored and mapped.
        vae: another autoencoder, a folder or a file, taken instead of the folder's own.
        prediction_type: "epsilon" or "v_prediction", if the folder's scheduler is not to be believed.

    Raises:
        ValueError: one line, when the folder is incomplete, broken or no Stable Diffusion.
    """
    with name_folder_in_errors(folder):
        index = read_json(folder / "model_index.json")
        check_index(index)
        xl = index["_class_name"] == PIPELINES[1]
    for part in (needed := (*PARTS, *XL_PARTS) if xl else PARTS):
        if not (folder / part).is_dir() and not (part == "vae" and vae is not None):
            raise ValueError(f"{folder} is not a complete base: it has no folder {part!r} (needed: {', '.join(needed)})")
    with name_folder_in_errors(folder):
        parts = Parts(
            open_unet(folder / "unet", dtype),
            open_vae(folder / "vae" if vae is None else Path(vae), dtype, "sdxl" if xl else "sd15"),
            open_text_encoder(folder / "text_encoder", dtype),
            open_tokenizer(folder / "tokenizer"),
            override_prediction_type(read_json(folder / "scheduler" / "scheduler_config.json"), prediction_type),
        )
        if xl:
            parts = replace(
                parts,
                text_encoder_2=open_text_encoder(folder / "text_encoder_2", dtype, projection=True),
                tokenizer_2=open_tokenizer(folder / "tokenizer_2"),
                force_zeros_for_empty_prompt=index.get("force_zeros_for_empty_prompt", True) is not False,
            )
        check_parts(parts)
    return parts


@contextmanager
def name_folder_in_errors(folder: Path) -> Generator[None]:
    """Whatever is raised inside becomes one line that names the folder.

    Raises:
        ValueError: with that line.
    """
    try:
        yield
    except Exception as error:  # the libraries raise many kinds for broken files
        kind = "" if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: "
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{folder} cannot be opened as a base: {kind}{first}") from error


def check_index(index: Mapping[str, Any]) -> None:
    """Refuse what is no Stable Diffusion, or asks for code.

    Raises:
        ValueError: naming the entry.
    """
    if index.get("_class_name") not in PIPELINES:
        found = index.get("_class_name")
        raise ValueError(f"its model_index.json names the pipeline {found!r}; expected {' or '.join(PIPELINES)}")
    for part, entry in index.items():
        if not isinstance(entry, list) or part in NOT_NEEDED or entry == [None, None]:
            continue
        library, name = entry if len(entry) == 2 else (None, None)
        allowed = CLASSES.get(part, ())
        if library in LIBRARIES and (name in allowed or part == "scheduler"):
            continue
        wanted = " or ".join(allowed) or ("a scheduler" if part == "scheduler" else "no such part")
        raise ValueError(
            f"its model_index.json asks for {entry!r} as {part!r}; expected {wanted} of {' or '.join(LIBRARIES)}: "
            "code named by a file is never loaded"
        )


def check_parts(parts: Any) -> None:
    """Whether the parts of a base fit each other.

    Args:
        parts: a `Parts` or a `StableDiffusion`.

    Raises:
        ValueError: naming the two numbers that differ.
    """
    unet, latents = parts.unet.config, parts.vae.config.latent_channels
    if unet.in_channels != latents:
        raise ValueError(
            f"its U-Net takes {unet.in_channels} channels, its autoencoder makes latents of {latents}; expected the same "
            "number: use the autoencoder that belongs to it"
        )
    encoders = [encoder for encoder in (parts.text_encoder, parts.text_encoder_2) if encoder is not None]
    if (unet.addition_embed_type == "text_time") != (len(encoders) == 2):
        raise ValueError(
            f"its U-Net {'has' if unet.addition_embed_type else 'has not'} SDXL's pooled text, and there are {len(encoders)} "
            "text encoders; expected 1 for Stable Diffusion 1.x and 2.x, 2 for XL"
        )
    widths = [int(encoder.config.hidden_size) for encoder in encoders]
    if unet.cross_attention_dim != sum(widths):
        raise ValueError(
            f"its U-Net reads text of width {unet.cross_attention_dim}, its text encoders write "
            f"{' + '.join(map(str, widths))}; expected the same: the parts are of different families"
        )
    if len(encoders) == 2:
        inputs = 6 * unet.addition_time_embed_dim + int(encoders[1].config.projection_dim)
        if unet.projection_class_embeddings_input_dim != inputs:
            raise ValueError(
                f"its U-Net takes {unet.projection_class_embeddings_input_dim} numbers beside the text, text and sizes "
                f"make {inputs}; expected the same: is it an SDXL refiner, which this project does not run?"
            )


def open_unet(folder: Path, dtype: torch.dtype | None) -> Any:
    """A U-Net's folder."""
    return build_unet(read_config(folder, *CLASSES["unet"]), read_weights(folder), dtype)


def open_text_encoder(folder: Path, dtype: torch.dtype | None, projection: bool = False) -> Any:
    """A text encoder's folder."""
    config = read_config(folder)
    wanted = CLASSES["text_encoder_2" if projection else "text_encoder"]
    if not set(config.get("architectures") or wanted) <= set(wanted):
        raise ValueError(f"{folder / 'config.json'} describes {config['architectures']}; expected {wanted[0]}")
    return build_text_encoder(config, read_weights(folder, "model"), dtype, projection)


def open_tokenizer(folder: Path) -> Any:
    """A tokenizer's folder; nobody is asked for files that are not there."""
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def override_prediction_type(config: dict[str, Any], prediction_type: str | None) -> dict[str, Any]:
    """The scheduler's configuration with the prediction type that was asked for.

    Raises:
        ValueError: for one that is not understood.
    """
    wanted = prediction_type or config.get("prediction_type", "epsilon")
    if wanted not in PREDICTIONS:
        raise ValueError(f"the prediction type is {wanted!r}; expected {' or '.join(map(repr, PREDICTIONS))}")
    return {**config, "prediction_type": wanted}
