"""A whole base in the original layout: one file of the U-Net, the autoencoder and the text encoders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from zeroconv.checkpoints.architecture.families import FAMILIES, Family, TextEncoder
from zeroconv.checkpoints.architecture.unet_shape import UNetShape, unsupported
from zeroconv.checkpoints.formats.configs import scheduler_config, text_config, unet_config, vae_config
from zeroconv.checkpoints.formats.identify import foreign_model, identify
from zeroconv.checkpoints.keys.legacy import COUNTER, text_encoder_names
from zeroconv.checkpoints.keys.table import Table
from zeroconv.checkpoints.keys.text_encoder import clip_table, count_layers, open_clip_table
from zeroconv.checkpoints.keys.unet import unet_table
from zeroconv.checkpoints.keys.vae import foreign_vae, vae_shape, vae_table

__all__ = [
    "BESIDE_VAE", "UNET", "VAE", "OriginalBase", "Part", "bare_of", "ema_name", "find_family", "marks_of", "other_noise",
    "prediction_of", "read_original", "read_vae", "shapes_of", "write_original",
]  # fmt: skip

Value = TypeVar("Value")

UNET = "model.diffusion_model."
VAE = "first_stage_model."
EMA = "model_ema."
BESIDE_VAE = ("loss.", "model_ema")
"""How names begin of what training left beside an autoencoder."""
EDM = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
V_MARK, ZERO_SNR_MARK = "v_pred", "ztsnr"
"""Empty tensors by which panels tell an SDXL that predicts v, and one whose last step is pure noise (zero terminal SNR)."""
NAMES_OF_V = ("v", "v_prediction", "v-prediction", "vpred", "v_pred")
NORM = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
NORM_SPREAD = 0.09
"""Where SD 2's last attention has norms spread wider than this, the U-Net predicts v; ComfyUI tells them apart so."""


@dataclass(frozen=True)
class Part:
    """One network of a base: its configuration, and its tensors, both in the names of diffusers or transformers."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class OriginalBase:
    """What a single file holds.

    Attributes:
        family: known from names and shapes.
        unet: its U-Net.
        vae: its autoencoder; None when the file has none.
        text_encoders: one, or two for SDXL.
        scheduler: the noise it was trained with.
        prediction_source: how the prediction type is known.
    """

    family: Family
    unet: Part
    vae: Part | None
    text_encoders: tuple[Part, ...]
    scheduler: dict[str, Any]
    prediction_source: str = field(default="the family")


def read_original(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    what: str = "the file",
    prediction_type: str | None = None,
    family: str | None = None,
    ema: bool = False,
) -> OriginalBase:
    """The parts of a single file; every tensor is a view of the file's.

    Args:
        tensors: of the file, under its own names; what training left beside the weights is passed over.
        metadata: of the file.
        what: the file, for errors.
        prediction_type: "epsilon" or "v_prediction", where the file is not to be believed.
        family: "sd15", "sd21" or "sdxl", where the shapes are not to be believed.
        ema: the averaged weights of the U-Net, where the file holds both.

    Raises:
        ValueError: one line, when it is no base, one of another family, or incomplete.
    """
    shapes = bare_of(shapes_of(tensors), UNET)
    if not shapes or foreign_model(shapes_of(tensors)):
        raise ValueError(
            f"{what} is no Stable Diffusion in one file: no tensor's name begins with {UNET!r}; {identify(shapes_of(tensors))}"
            if not shapes
            else f"{what} is no Stable Diffusion: {identify(shapes_of(tensors))}"
        )
    unet_shape = UNetShape.of_original(shapes)
    if reason := unsupported(unet_shape) or other_noise(tensors):
        raise ValueError(f"{what}: {reason}")
    known = unet_shape.family if family is None else find_family(family)
    names = unet_table(unet_shape)
    bare = ema_weights(tensors, names, what) if ema else bare_of(tensors, UNET)
    predicted, prediction_source = prediction_of(known, tensors, metadata)
    if prediction_type is not None:
        predicted, prediction_source = prediction_type, "you"
    text = tuple(read_text_encoder(tensors, encoder, what) for encoder in known.text_encoders)
    pooled = text[-1].config["projection_dim"] if unet_shape.pooled is not None else None
    unet = Part(unet_config(unet_shape, known, pooled), names.to_ours(bare, f"{what} (U-Net)"))
    unet.config["sample_size"] = known.native_size(predicted) // 8
    held = any(name.startswith(VAE) for name in tensors)
    vae = read_vae(tensors, known, what) if held else None
    scheduler = scheduler_config(known, predicted)
    if ZERO_SNR_MARK in tensors:
        scheduler |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return OriginalBase(known, unet, vae, text, scheduler, prediction_source)


def other_noise(names: Iterable[str]) -> str | None:
    """Why a checkpoint cannot be sampled here although its networks are SDXL's: it was trained on another noise (EDM)."""
    mark = next((name for name in names if name in EDM), None)
    if mark is None:
        return None
    return f"it was trained on another noise schedule (EDM, by its tensor {mark!r}; Playground, CosXL); expected SDXL base's"


def find_family(key: str) -> Family:
    """A family by its key.

    Raises:
        ValueError: listing the known ones.
    """
    for known, family in FAMILIES.items():
        if known == key:
            return family
    raise ValueError(f"family is {key!r}; expected one of {', '.join(FAMILIES)}")


def ema_weights(tensors: Mapping[str, Tensor], names: Table, what: str) -> dict[str, Tensor]:
    """The U-Net's averaged weights, whose names have lost their dots.

    Raises:
        ValueError: when the file has none.
    """
    places = {name: ema_name(name) for name in names.theirs}
    missing = [place for place in places.values() if place not in tensors]
    if missing:
        raise ValueError(f"{what} holds no averaged weights (EMA): {missing[0]!r} is missing; open it without `ema`")
    return {name: tensors[place] for name, place in places.items()}


def ema_name(name: str) -> str:
    """What the averaged copy of a U-Net's tensor is called."""
    return EMA + ("diffusion_model." + name).replace(".", "")


def read_text_encoder(tensors: Mapping[str, Tensor], encoder: TextEncoder, what: str) -> Part:
    """One text encoder.

    Raises:
        ValueError: when the file has none, or a broken one.
    """
    bare = bare_of(tensors, encoder.prefix)
    if not bare and encoder.kind == "clip":  # some merges lost the middle of the prefix
        bare = bare_of(tensors, encoder.prefix.removesuffix("text_model."))
    if not bare:
        raise ValueError(
            f"{what} has no text encoder: no tensor's name begins with {encoder.prefix!r}; expected a whole checkpoint, "
            "not a U-Net alone"
        )
    bare = {name: tensor for name, tensor in bare.items() if not name.endswith((COUNTER, "logit_scale"))}
    count = count_layers(bare)
    if encoder.kind == "clip":
        bare.pop("text_projection.weight", None)
        ours = clip_table(count).to_ours(bare, f"{what} (text encoder)")
    else:
        used = max(1, count - (encoder.layers - encoder.used))
        idle = tuple(f"transformer.resblocks.{i}." for i in range(used, count))
        left_out = () if encoder.projection else ("text_projection",)
        bare = {name: t for name, t in bare.items() if name not in left_out and not (idle and name.startswith(idle))}
        ours = open_clip_table(used, encoder.projection).to_ours(bare, f"{what} (text encoder)")
    return Part(text_config(encoder, shapes_of(ours)), ours)


def read_vae(tensors: Mapping[str, Tensor], family: Family, what: str) -> Part:
    """An autoencoder, out of a whole checkpoint or in a file of its own, in the original names or in diffusers'.

    Raises:
        ValueError: when there is none, or a broken one.
    """
    bare = bare_of(tensors, VAE) or dict(tensors)
    bare = {name: t for name, t in bare.items() if not name.startswith(BESIDE_VAE)}
    halves = "encoder.conv_in.weight" in bare and "decoder.conv_in.weight" in bare
    if halves and foreign_model(shapes_of(tensors)):
        raise ValueError(f"{what} holds no autoencoder of Stable Diffusion: {identify(shapes_of(tensors))}")
    if not halves:
        raise ValueError(
            f"{what} holds no autoencoder of Stable Diffusion: 'encoder.conv_in.weight' or its decoder is missing; "
            + identify(shapes_of(tensors))
        )
    shape = vae_shape(shapes_of(bare))
    if foreign := foreign_vae(shape):
        raise ValueError(f"{what} holds no autoencoder of Stable Diffusion: {foreign}")
    if "encoder.mid.block_1.conv1.weight" in bare:
        bare = vae_table(shape).to_ours(bare, f"{what} (autoencoder)")
    return Part(vae_config(shape, family), bare)


def prediction_of(family: Family, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[str, str]:
    """What the U-Net predicts, and how that is known.

    A file may say it (`modelspec.prediction_type`, or a tensor `v_pred`); otherwise SD 2 is guessed from the spread of
    one norm, and the others predict epsilon.
    """
    stated = metadata.get("modelspec.prediction_type", "").lower()
    if stated:
        return ("v_prediction" if stated in NAMES_OF_V else "epsilon"), "the file's metadata"
    if V_MARK in tensors:
        return "v_prediction", f"the file's tensor {V_MARK!r}"
    norm = tensors.get(UNET + NORM)
    if family.key != "sd21" or norm is None:
        return family.prediction_type, "the family"
    spread = float(norm.float().std(correction=0))
    predicted = "v_prediction" if spread > NORM_SPREAD else "epsilon"
    return predicted, f"a guess from the spread of a norm ({spread:.3f}, v above {NORM_SPREAD})"


def write_original(
    family: Family, unet: Mapping[str, Tensor], vae: Mapping[str, Tensor], text: tuple[Mapping[str, Tensor], ...]
) -> dict[str, Tensor]:
    """A whole base in the original layout from its networks' tensors: the inverse of `read_original`.

    Raises:
        ValueError: when a network is not of the family, naming its first tensor that is missing or unknown.
    """
    shape = vae_shape(shapes_of(vae))
    made = unet_table(UNetShape.of_diffusers(shapes_of(unet))).add_prefix(UNET).to_theirs(unet, "the U-Net")
    made |= vae_table(shape).add_prefix(VAE).to_theirs(vae, "the autoencoder")
    for encoder, tensors in zip(family.text_encoders, text, strict=True):
        ours = text_encoder_names(tensors, encoder.projection)
        count = count_layers(ours)
        table = clip_table(count) if encoder.kind == "clip" else open_clip_table(count, encoder.projection)
        made |= table.add_prefix(encoder.prefix).to_theirs(ours, "the text encoder")
        idle = encoder.layers - encoder.used
        if idle:  # the unused last layers are looked for in such files; the last used one stands in
            last, prefix = count - 1, f"{encoder.prefix}transformer.resblocks."
            for name, tensor in [item for item in made.items() if item[0].startswith(f"{prefix}{last}.")]:
                made |= {name.replace(f"{prefix}{last}.", f"{prefix}{last + i + 1}."): tensor.clone() for i in range(idle)}
    return made


def marks_of(family: Family, scheduler: Mapping[str, Any]) -> dict[str, Tensor]:
    """The empty tensors by which other tools tell what no weight says; SD 2's prediction they guess as is done here."""
    v = family.key == "sdxl" and scheduler.get("prediction_type") == "v_prediction"
    marks = {V_MARK: v, ZERO_SNR_MARK: bool(scheduler.get("rescale_betas_zero_snr"))}
    return {name: torch.zeros(0) for name, said in marks.items() if said}


def bare_of(named: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """What stands under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
