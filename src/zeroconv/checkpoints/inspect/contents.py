"""What the names and shapes of a weight file say it is: kind, layout, family, and what it goes with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zeroconv.checkpoints.architecture.families import FAMILIES, Family
from zeroconv.checkpoints.architecture.unet_shape import UNetShape, unsupported
from zeroconv.checkpoints.files.safetensors import Header, read_safetensors
from zeroconv.checkpoints.files.wrappers import read_published
from zeroconv.checkpoints.formats.control_lora import MARKER
from zeroconv.checkpoints.formats.controlnet_hints import config_in_metadata
from zeroconv.checkpoints.formats.controlnet_layouts import CONTROL, DECODER, DIFFERENCE, NO_UNION, extras_of, layout_of
from zeroconv.checkpoints.formats.controlnet_union import UNION, describe_union, is_union, is_union_name
from zeroconv.checkpoints.formats.foreign_models import ForeignModel
from zeroconv.checkpoints.formats.identify import UNET_ALONE, foreign_model, part_alone
from zeroconv.checkpoints.formats.lora_names import is_lora, read_names
from zeroconv.checkpoints.formats.lora_parts import check_finite
from zeroconv.checkpoints.formats.single_file import BESIDE_VAE, UNET, VAE, bare_of, ema_name, read_original
from zeroconv.checkpoints.formats.textual_inversion import embedding_names, misshapen, read_embedding
from zeroconv.checkpoints.inspect.consistency import broken_control_lora, broken_layer
from zeroconv.checkpoints.inspect.headers import count, types
from zeroconv.checkpoints.keys.controlnet import controlnet_table
from zeroconv.checkpoints.keys.legacy import autoencoder_names
from zeroconv.checkpoints.keys.table import check_names
from zeroconv.checkpoints.keys.unet import decoder_table
from zeroconv.checkpoints.keys.vae import foreign_vae, vae_shape, vae_table

__all__ = [
    "EXPECTED",
    "Contents",
    "contents_of",
    "details_of",
    "fits_of",
    "own_control_contents",
]

PARTS_OF_BASE = (UNET, VAE, "cond_stage_model.", "conditioner.")
EXPECTED = "expected a base, ControlNet, LoRA or autoencoder of SD 1.5, SD 2.1 or SDXL"


@dataclass(frozen=True)
class Contents:
    """What a file or folder holds.

    Attributes:
        path: where it lies.
        kind: "base", "ControlNet", "LoRA", "VAE", "U-Net", or what else it is.
        layout: whose names it uses.
        family: of Stable Diffusion; None when the tensors do not tell.
        parameters: numbers in all tensors.
        dtypes: stored types, with how many tensors have each.
        bytes: on the disk.
        details: further facts, by name.
        missing: what is not there and must come from elsewhere.
        refused: why it cannot be used here; None when it can.
        fits: what it can be used with.
        sha256: of the weight file; None for several files, or when it was not asked for.
    """

    path: Path
    kind: str
    layout: str
    family: Family | None
    parameters: int
    dtypes: dict[str, int]
    bytes: int
    details: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    refused: str | None = None
    fits: str = ""
    sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "layout": self.layout,
            "family": self.family.title if self.family else None,
            "parameters": self.parameters,
            "dtypes": self.dtypes,
            "bytes": self.bytes,
            "details": self.details,
            "missing": list(self.missing),
            "refused": self.refused,
            "fits": self.fits,
            "sha256": self.sha256,
        }


def contents_of(path: Path, header: Header) -> Contents:
    """What the names and shapes of one file (or of the shards of one network) say."""
    size = path.stat().st_size
    names = header.shapes
    common = (count(header), types(header), size)
    if foreign := foreign_model(names):
        return foreign_contents(path, header, foreign)
    control = layout_of(names)
    if control is not None:
        return control_contents(path, header, control)
    if any(name.startswith(UNET) for name in names) and UNET + "input_blocks.0.0.weight" in names:
        return base_contents(path, header)
    if is_lora(names):
        return lora_contents(path, header)
    if vectors := embedding_names(names):
        return embedding_contents(path, header, vectors)
    bare = bare_of(names, VAE) or names
    if "encoder.conv_in.weight" in bare and "decoder.conv_in.weight" in bare:
        return vae_contents(path, header, bare)
    for read, mark, layout in ((UNetShape.of_diffusers, "down_blocks.0.resnets.", "diffusers"),
                               (UNetShape.of_original, "input_blocks.1.0.in_layers.2.weight", "original")):  # fmt: skip
        if any(name.startswith(mark) for name in names):
            unet_shape = read(names)
            missing, reason = ("vae", "text_encoder", "tokenizer"), unsupported(unet_shape) or UNET_ALONE
            return Contents(path, "U-Net", layout, unet_shape.family, *common, missing=missing, refused=reason)
    if part := part_alone(names):
        return foreign_contents(path, header, part)
    return Contents(path, "unknown", "unknown", None, *common, refused=f"it is nothing this project opens; {EXPECTED}")


def foreign_contents(path: Path, header: Header, foreign: ForeignModel) -> Contents:
    """Something whole that this project does not open."""
    details = {"made for": foreign.family} if foreign.family else {}
    return Contents(path, foreign.what, "unknown", None, count(header), types(header), path.stat().st_size, details,
                    refused=f"it is {foreign.what}, which this project does not open; {EXPECTED}")  # fmt: skip


def control_contents(path: Path, header: Header, layout: str) -> Contents:
    """A ControlNet."""
    names = bare_of(header.shapes, CONTROL)
    names = names or {name: shape for name, shape in header.shapes.items() if name not in (DIFFERENCE, MARKER)}
    details = details_of(config_in_metadata(header.metadata) or {})
    unet_shape: UNetShape | None = None
    refused = None
    if layout == "control-lora":
        downs = [shape for name, shape in names.items() if name.endswith(".down")]
        details["rank"] = ", ".join(map(str, sorted({shape[0] for shape in downs if shape}))) or "0"
        refused = broken_control_lora(header.shapes)
    else:
        unet_shape = (UNetShape.of_diffusers if layout == "diffusers" else UNetShape.of_original)(names)
    if unet_shape:
        details["widths"] = ", ".join(map(str, unet_shape.channels))
        table = controlnet_table(unet_shape)
        known = set(table.ours if layout == "diffusers" else table.theirs)
        if any(name.startswith(DECODER) for name in names):
            known |= {f"{DECODER}{name}" for name in decoder_table(unet_shape).ours}
        plain = {name: shape for name, shape in names.items() if not is_union_name(name)}
        extras = extras_of(plain)
        plain = {name: shape for name, shape in plain.items() if name not in extras}
        details |= {"passed over": ", ".join(sorted(extras))} if extras else {}
        refused = unsupported(unet_shape) or misfit(known, plain, "this ControlNet") or broken_layer(plain)
    if is_union(header.shapes):
        conditions, wrong = describe_union(names) if layout == "diffusers" else ("", NO_UNION.format(layout=layout))
        details |= {"network": UNION, **({"conditions": conditions} if conditions else {})}
        refused = refused or wrong
    missing = {"control-lora": ("the base it was made for",), "difference": ("the base it was made for",)}.get(layout, ())
    family = unet_shape.family if unet_shape else family_of_offsets(names)
    fits = (
        ""
        if refused
        else fits_of("ControlNet", unet_shape)
        if unet_shape
        else f"a {family.title} base"
        if family
        else "the base it was made for"
    )
    return Contents(path, "ControlNet", layout, family, count(header), types(header), path.stat().st_size, details, missing,
                    refused, fits)  # fmt: skip


def own_control_contents(path: Path, header: Header, config: Mapping[str, Any]) -> Contents:
    """A ControlNet in a form that only this project has (a lite copy, the text's condition encoder), by its configuration.

    Raises:
        ValueError: when the configuration describes no network.
    """
    unet_shape = UNetShape.of_config(config)
    details = {"widths": ", ".join(map(str, unet_shape.channels))}
    refused = unsupported(unet_shape)
    return Contents(path, "ControlNet", "diffusers", unet_shape.family, count(header), types(header), 0, details,
                    refused=refused, fits="" if refused else fits_of("ControlNet", unet_shape))  # fmt: skip


def misfit(expected: Iterable[str], found: Mapping[str, object], what: str) -> str | None:
    """Why tensors are not exactly the expected ones, naming the first; None when they are."""
    try:
        check_names(expected, found, what)
    except ValueError as error:
        return str(error)
    return None


def details_of(config: Mapping[str, Any]) -> dict[str, str]:
    """What a ControlNet's configuration says that its tensors do not."""
    extra = config.get("_zeroconv")
    said: dict[str, Any] = {**extra} if isinstance(extra, dict) else {}
    said["global pooling"] = config.get("global_pool_conditions") or None
    order = config.get("controlnet_conditioning_channel_order")
    said["channel order"] = order if order != "rgb" else None
    names = str(said.get("condition")).split("+")
    if len(names) > 1:  # of several the maps stand one after the other
        said["condition"] = ", ".join(f"{name} (channels {3 * i + 1} to {3 * i + 3})" for i, name in enumerate(names))
    return {name.replace("_", " "): str(value) for name, value in said.items() if value is not None}


def family_of_offsets(names: Mapping[str, tuple[int, ...]]) -> Family | None:
    """The family of a Control-LoRA, by the widths of text that its offsets read."""
    widths = {shape[1] for name, shape in names.items() if name.endswith("attn2.to_k.down") and len(shape) == 2}
    return next((family for family in FAMILIES.values() if {family.text_width} == widths), None)


def base_contents(path: Path, header: Header) -> Contents:
    """A whole Stable Diffusion in the original layout."""
    names = header.shapes
    unet_shape = UNetShape.of_original(bare_of(names, UNET))
    family = unet_shape.family
    missing = [] if any(name.startswith(VAE) for name in names) else ["vae"]
    missing += [f"text encoder ({e.prefix}…)" for e in family.text_encoders if not any(n.startswith(e.prefix) for n in names)]
    averaged = ema_name("input_blocks.0.0.weight") in names
    details = {
        "widths": ", ".join(map(str, unet_shape.channels)),
        "text width": str(unet_shape.context),
        "weights": "with averaged copy (EMA)" if averaged else "pruned",
    }
    reason = unsupported(unet_shape)
    if reason is None:
        try:
            read = read_original(read_published(path), header.metadata, path.name)
        except ValueError as error:
            reason = str(error)
        else:
            reason = broken_layer({name: shape for name, shape in names.items() if name.startswith(PARTS_OF_BASE)})
            details |= {
                "prediction": f"{read.scheduler['prediction_type']} (according to {read.prediction_source})",
                "made for": f"{read.unet.config['sample_size'] * 8} px",
            }
    title = header.metadata.get("modelspec.title")
    details |= {"title": title} if title else {}
    return Contents(path, "base", "original", family, count(header), types(header), path.stat().st_size, details,
                    tuple(missing), reason, "" if reason else fits_of("base", unet_shape))  # fmt: skip


def vae_contents(path: Path, header: Header, bare: Mapping[str, tuple[int, ...]]) -> Contents:
    """An autoencoder; `bare` are its shapes without a prefix."""
    original = "encoder.mid.block_1.conv1.weight" in bare
    shape, table = vae_shape(bare), vae_table(vae_shape(bare))
    latents = f"{shape.latent_channels} latent channels"
    held = {name: kept for name, kept in bare.items() if not name.startswith(BESIDE_VAE)}
    refused = foreign_vae(shape)
    refused = refused or misfit(table.theirs if original else table.ours, autoencoder_names(held), "this autoencoder")
    refused = refused or broken_layer(held)
    bases = "any base whose latents it makes" if shape.latent_channels == 4 else f"only a base of {latents} (as a rule 4)"
    return Contents(path, "VAE", "original" if original else "diffusers", None, count(header), types(header),
                    path.stat().st_size, {"latent channels": str(shape.latent_channels)}, refused=refused,
                    fits="" if refused else f"{bases}: `--vae` of generate")  # fmt: skip


def lora_contents(path: Path, header: Header) -> Contents:
    """A LoRA, or another update of a base."""
    common = (count(header), types(header), path.stat().st_size)
    try:
        found = read_names(header.shapes, path.name)
        check_finite(read_safetensors(path) if path.is_file() else {}, path.name)
    except ValueError as error:
        return Contents(path, "LoRA", "unknown", None, *common, refused=str(error))
    details = {"rank": ", ".join(map(str, found.ranks)) or "whole", "modules": str(found.modules)}
    details |= {"embeddings": ", ".join(found.embeddings)} if found.embeddings else {}
    family = found.family
    fits = f"{family.title} bases: `--lora {path.name}:WEIGHT`" if family else "bases whose modules have its shapes"
    return Contents(path, found.kind, found.layout, family, *common, details, fits=fits)


def embedding_contents(path: Path, header: Header, vectors: Mapping[str, str]) -> Contents:
    """A textual-inversion embedding."""
    wrong = [f"{name!r} {said}" for name in vectors if (said := misshapen(header.shapes[name]))]
    if not wrong:
        try:
            read_embedding(path)
        except ValueError as error:
            wrong = [str(error)]
    widths = [(header.shapes[name] or (0,))[-1] for name in vectors]
    family = next((f for f in FAMILIES.values() if sum(widths) == f.text_width and len(f.text_encoders) == len(widths)), None)
    counts = {header.shapes[name][0] if len(header.shapes[name]) > 1 else 1 for name in vectors}
    fits = f"{family.title} bases: `--embedding {path.name}`" if family else f"bases whose text is {sum(widths)} wide"
    details = {"vectors": ", ".join(map(str, sorted(counts))), "text width": " + ".join(map(str, widths))}
    return Contents(path, "textual-inversion embedding", "diffusers or panels", family, count(header), types(header),
                    path.stat().st_size, details,
                    refused=wrong[0] if wrong else None, fits="" if wrong else fits)  # fmt: skip


def fits_of(kind: str, unet_shape: UNetShape) -> str:
    """What a base or ControlNet can be used with."""
    title = f"{unet_shape.family.title} (text width {unet_shape.context}, {unet_shape.in_channels} latent channels)"
    return f"bases of {title}" if kind == "ControlNet" else f"ControlNets and LoRAs made for {title}"
