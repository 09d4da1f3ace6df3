"""A base from one layout to the other: one file in the original names, or a folder of diffusers'. No network is built.

An autoencoder alone is brought from a pickle, or from diffusers' names, to one file that `vae=` opens.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zeroconv.checkpoints import (
    embedded_names,
    read_config,
    read_json,
    read_weights,
    resolve,
    write_model_folder,
    write_safetensors,
)  # fmt: skip
from zeroconv.checkpoints.architecture.families import FAMILIES, Family
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.checkpoints.files.safetensors import read_header
from zeroconv.checkpoints.files.torch_pickle import PICKLE_ENDINGS, read_pickle
from zeroconv.checkpoints.files.wrappers import read_published
from zeroconv.checkpoints.formats.configs import NORM_GROUPS
from zeroconv.checkpoints.formats.single_file import (
    UNET,
    OriginalBase,
    ema_name,
    marks_of,
    read_original,
    read_vae,
    shapes_of,
    write_original,
)
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.checkpoints.keys.legacy import autoencoder_names, text_encoder_names
from zeroconv.checkpoints.keys.vae import vae_shape, vae_table
from zeroconv.stable_diffusion.single_file import PADS
from zeroconv.stable_diffusion.tokenizer import write_tokenizer

__all__ = ["Report", "convert_base", "convert_tensors", "convert_vae", "is_base", "is_vae"]

TEXT_FILE = "model.safetensors"
SCALE_LEFT_OUT = 0.18215  # what diffusers takes when a folder does not say it
VOCABULARY = 49_408
"""Tokens of CLIP's vocabulary, which every single file is read with."""


@dataclass(frozen=True)
class Report:
    """What a conversion did.

    Attributes:
        layout: that was found.
        tensors: how many were written.
        files: that were written.
        notes: for people.
    """

    layout: str
    tensors: int
    files: list[Path]
    notes: list[str]


def is_base(source: str | Path) -> bool:
    """Whether a name, file or folder is a whole base; a file with a ControlNet in it is not."""
    path = Path(source)
    if str(source) in embedded_names("base") or (path / "model_index.json").is_file():
        return True
    if path.suffix in PICKLE_ENDINGS and path.is_file():
        names = read_pickle(path).keys()
        return any(n.startswith("model.diffusion_model.") for n in names) and not any(
            n.startswith("control_model.") for n in names
        )
    return path.suffix == ".safetensors" and path.is_file() and describe(path, hashed=False).kind == "base"


def is_vae(source: str | Path) -> bool:
    """Whether a file is an autoencoder alone, in any names."""
    path = Path(source)
    if not path.is_file() or path.suffix not in (*PICKLE_ENDINGS, ".safetensors"):
        return False
    names = set(read_pickle(path) if path.suffix in PICKLE_ENDINGS else read_header(path).shapes)
    return {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= names and not is_base(path)


def convert_vae(source: str | Path, out: Path, dtype: torch.dtype | None = None) -> Report:
    """Write an autoencoder as one `.safetensors` file in the original names, without what training left beside it.

    Args:
        source: a file (`.safetensors`, `.pt`, `.ckpt`, …) in the original names or in diffusers'.
        out: a `.safetensors` file.
        dtype: type of the written tensors; as stored if None.

    Raises:
        ValueError: one line; nothing was written then.
    """
    if out.suffix != ".safetensors":
        raise ValueError(f"an autoencoder is written as a file ending in .safetensors, got {out.name!r}")
    path = Path(source)
    tensors = read_pickle(path) if path.suffix in PICKLE_ENDINGS else read_published(path)
    ours = read_vae(tensors, FAMILIES["sd15"], str(path)).tensors  # the family tells the scale of latents, not a name
    shape = vae_shape(shapes_of(ours))
    named = vae_table(shape).to_theirs(autoencoder_names(ours), str(path))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(out, cast(named, dtype))
    return Report("autoencoder", len(named), [out], [])


def convert_tensors(source: str | Path, out: Path, dtype: torch.dtype | None = None) -> Report:
    """Write the tensors of a pickle, whatever network they are of, as one `.safetensors` file under their own names.

    Args:
        source: a `.pth`, `.pt`, `.ckpt` or `.bin` file; what training left beside its tensors stays behind.
        out: a `.safetensors` file.
        dtype: type of the written tensors; as stored if None.

    Raises:
        ValueError: one line; nothing was written then.
    """
    if Path(source).suffix not in PICKLE_ENDINGS or out.suffix != ".safetensors":
        raise ValueError(
            f"'safetensors' keeps the names of a pickle's tensors: got {Path(source).name!r} -> {out.name!r}; "
            f"expected one of {', '.join(PICKLE_ENDINGS)}, to .safetensors"
        )
    tensors = read_pickle(Path(source))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(out, {name: tensor.contiguous() for name, tensor in cast(tensors, dtype).items()})
    return Report("pickle", len(tensors), [out], [])


def convert_base(
    source: str | Path,
    out: Path,
    layout: str,
    dtype: torch.dtype | None = None,
    prediction_type: str | None = None,
    ema: bool = False,
) -> Report:
    """Read a base in either layout and write it in the other.

    Args:
        source: an embedded name, a folder, or a file (`.safetensors`, `.ckpt`).
        out: a folder for "diffusers", a `.safetensors` file for "original".
        layout: "diffusers" or "original".
        dtype: type of the written tensors; as stored if None.
        prediction_type: "epsilon" or "v_prediction", where the file or folder is not to be believed.
        ema: the averaged weights of the U-Net, of a file that holds both.

    Raises:
        ValueError: one line; nothing was written then.
    """
    if layout not in ("diffusers", "original"):
        raise ValueError(f"{source} is a base; layout is {layout!r}, expected 'diffusers' or 'original'")
    if (layout == "original") != (out.suffix == ".safetensors"):
        wanted = "a file ending in .safetensors" if layout == "original" else "a folder"
        raise ValueError(f"the layout {layout!r} is {wanted}, got {out.name!r}")
    path = Path(source)
    if path.is_file():
        found, notes = read_base_file(path, prediction_type, ema)
        if layout == "original":
            report = write_file(out, whole(found), dtype, "original", found.family, found.scheduler)
        else:
            report = write_folder(out, found, dtype)
        return replace(report, notes=[*report.notes, *notes])
    if ema:
        raise ValueError(f"{source} is a folder, which holds one copy of its weights: leave --ema out")
    folder = resolve(source, "base")
    if layout == "diffusers":
        raise ValueError(f"{source} is in the diffusers layout already")
    noise = read_json(folder / "scheduler" / "scheduler_config.json")
    if prediction_type is not None:
        noise["prediction_type"] = prediction_type
    tensors, family = from_folder(folder)
    return write_file(out, tensors, dtype, "diffusers", family, noise)


def read_base_file(path: Path, prediction_type: str | None, ema: bool) -> tuple[OriginalBase, list[str]]:
    """A whole base in one file, mapped, pickles included, and what to say about it."""
    pickled = path.suffix in PICKLE_ENDINGS
    tensors = read_pickle(path) if pickled else read_published(path)
    found = read_original(tensors, {} if pickled else read_header(path).metadata, str(path), prediction_type, ema=ema)
    if found.vae is None:
        raise ValueError(f"{path} holds no autoencoder: a whole base is expected")
    both = not ema and any(ema_name(name.removeprefix(UNET)) in tensors for name in tensors if name.startswith(UNET))
    return found, ["the file holds averaged weights (EMA) too, which are left out: --ema takes them"] if both else []


def whole(found: OriginalBase) -> dict[str, Tensor]:
    """The tensors of a base in the original layout, without what training left beside them."""
    assert found.vae is not None
    return write_original(
        found.family, found.unet.tensors, found.vae.tensors, tuple(part.tensors for part in found.text_encoders)
    )


def from_folder(folder: Path) -> tuple[dict[str, Tensor], Family]:
    """A folder's networks under the original names, and their family.

    Raises:
        ValueError: when it is not of SD 1.5, SD 2.1 or SDXL, naming a tensor.
    """
    unet = read_weights(folder / "unet")
    unet_shape = UNetShape.of_diffusers(shapes_of(unet))
    family = unet_shape.family
    check_sayable(folder, family, family.attention_heads(unet_shape.channels))
    text = tuple(
        text_encoder_names(read_weights(folder / name, "model"), encoder.projection)
        for name, encoder in zip(("text_encoder", "text_encoder_2"), family.text_encoders, strict=False)
    )
    return write_original(family, unet, autoencoder_names(read_weights(folder / "vae")), text), family


def check_sayable(folder: Path, family: Family, heads: int | list[int]) -> None:
    """Refuse a base whose settings are not the published ones: one file holds tensors alone, and readers take those.

    Raises:
        ValueError: naming the setting.
    """
    for part, name, published, default in (
        ("unet", "attention_head_dim", heads, 8),
        ("unet", "norm_num_groups", NORM_GROUPS, NORM_GROUPS),
        ("vae", "norm_num_groups", NORM_GROUPS, NORM_GROUPS),
        ("vae", "scaling_factor", family.latent_scale, SCALE_LEFT_OUT),
        ("text_encoder", "hidden_act", family.text_encoders[0].activation, "quick_gelu"),
        ("text_encoder", "vocab_size", VOCABULARY, VOCABULARY),
    ):
        found = read_config(folder / part).get(name, default)
        if found != published and found != [published] * len(found if isinstance(found, list) else ()):
            raise ValueError(
                f"{folder} cannot be one file: its {part} has {name} {found!r:.80}, and a file of tensors cannot say so; "
                f"readers take {published!r}: keep the folder"
            )


def write_file(
    out: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None, found: str, family: Family, noise: Mapping[str, Any]
) -> Report:
    """One file in the original layout; what its U-Net predicts, which no weight says, stands in its metadata and marks."""
    out.parent.mkdir(parents=True, exist_ok=True)
    predicted = str(noise.get("prediction_type", "epsilon"))
    prediction = "v" if predicted == "v_prediction" else predicted
    tensors = {**tensors, **marks_of(family, noise)}
    write_safetensors(out, cast(tensors, dtype), {"modelspec.prediction_type": prediction})
    return Report(found, len(tensors), [out], [])


def write_folder(out: Path, found: OriginalBase, dtype: torch.dtype | None) -> Report:
    """A folder in the diffusers layout; `model_index.json`, which makes it one, comes last."""
    assert found.vae is not None
    is_xl = len(found.text_encoders) == 2
    count = 0
    for name, part in (("unet", found.unet), ("vae", found.vae)):
        write_model_folder(out / name, part.config, cast(part.tensors, dtype))
        count += len(part.tensors)
    index: dict[str, Any] = {"_class_name": "StableDiffusionXLPipeline" if is_xl else "StableDiffusionPipeline"}
    index |= {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    index |= {"scheduler": ["diffusers", found.scheduler["_class_name"]]}
    for part, encoder, end in zip(found.text_encoders, found.family.text_encoders, ("", "_2"), strict=False):
        names = part.tensors if encoder.projection else {f"text_model.{name}": t for name, t in part.tensors.items()}
        write_model_folder(out / f"text_encoder{end}", part.config, cast(names, dtype), TEXT_FILE)
        write_tokenizer(out / f"tokenizer{end}", PADS[encoder.kind])
        index[f"text_encoder{end}"] = ["transformers", part.config["architectures"][0]]
        index[f"tokenizer{end}"] = ["transformers", "CLIPTokenizer"]
        count += len(names)
    write_json(out / "scheduler" / "scheduler_config.json", found.scheduler)
    write_json(out / "model_index.json", {**index, "force_zeros_for_empty_prompt": True} if is_xl else index)
    note = f"prediction type {found.scheduler['prediction_type']}, according to {found.prediction_source}"
    return Report("original", count, sorted(path for path in out.rglob("*") if path.is_file()), [note])


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write settings, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def cast(tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Tensors in another type, or as they are."""
    return {name: tensor if dtype is None else tensor.to(dtype) for name, tensor in tensors.items()}
