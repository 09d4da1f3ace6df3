"""A ControlNet from one layout to another: renamed bit by bit, or as offsets from its base."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from zeroconv.checkpoints import resolve, write_safetensors
from zeroconv.checkpoints.formats.controlnet import ControlNetFile, read_controlnet, write_controlnet
from zeroconv.checkpoints.formats.controlnet_hints import METADATA, NO_HINTS, ControlNetHints
from zeroconv.checkpoints.formats.controlnet_layouts import LAYOUTS
from zeroconv.checkpoints.formats.single_file import write_original
from zeroconv.control.network import ControlNet
from zeroconv.control.transfer import encoder_shift
from zeroconv.conversion.base import Report
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["ConversionOptions", "convert_control", "original_of"]


@dataclass(frozen=True)
class ConversionOptions:
    """How the converted ControlNet is to be written.

    Attributes:
        layout: one of `controlnet_layouts.LAYOUTS`, or "sharded".
        dtype: type of the written tensors; as stored if None.
        rank: of the offsets of `control-lora`.
        shard_bytes: of one file of `sharded`.
    """

    layout: str
    dtype: torch.dtype | None = None
    rank: int | None = None
    shard_bytes: int = 10**9


def convert_control(
    source: str | Path,
    out: Path,
    options: ConversionOptions,
    hints: ControlNetHints = NO_HINTS,
    base: StableDiffusion | None = None,
    to_base: StableDiffusion | None = None,
) -> Report:
    """Read a ControlNet in any layout, `.pth` included, and write it in another.

    Args:
        source: a name, folder or file.
        out: folder or file.
        options: the layout and how it is written.
        hints: what the user says about it.
        base: the base it was made for; offsets, `lllyasviel-full` and a transfer need it.
        to_base: a base of the same family to move it to.

    Raises:
        ValueError: one line; nothing was written then.
    """
    if options.layout not in (*LAYOUTS, "sharded"):
        raise ValueError(f"layout is {options.layout!r}; expected one of {', '.join((*LAYOUTS, 'sharded'))}")
    if to_base is not None and base is None:
        raise ValueError("a ControlNet is moved from one base to another: give --base, the one it was made for, too")
    found = read_controlnet(resolve_source(source), base.unet if base is not None else None, hints, pickles=True)
    if base is not None and found.config is not None:
        found.config.check_base(base.unet)
    notes: list[str] = []
    file = found
    if found.layout == options.layout == "control-lora" and to_base is None:
        if found.config is None and base is not None:
            found = replace(found, config=ControlNet.from_file(found, base.unet).config)
        if found.config is None and hints != NO_HINTS:
            raise ValueError(f"{source} carries no settings to write this down in: give --base, the base it was made for, too")
        return Report(found.layout, len(found.tensors), copy_offsets(found, out, options.dtype), notes)
    if found.layout == "control-lora":
        file = merge_into_base(found, base, str(source))
    if to_base is not None:
        assert base is not None
        file, notes = transfer(file, base, to_base)
        base = to_base
    layout = "diffusers" if options.layout == "sharded" else options.layout
    shards = options.shard_bytes if options.layout == "sharded" else None
    whole = original_of(base) if base is not None and layout == "lllyasviel-full" else None
    unet: dict[str, Tensor] | None = base.unet.state_dict() if base is not None else None
    files = write_controlnet(file, out, layout, unet, whole, options.rank, options.dtype, shards)
    return Report(found.layout, len(file.tensors), files, notes)


def resolve_source(source: str | Path) -> Path:
    """The file or folder that a name means."""
    return Path(source) if Path(source).is_file() else resolve(source, "ControlNet")


def copy_offsets(found: ControlNetFile, out: Path, dtype: torch.dtype | None) -> list[Path]:
    """A Control-LoRA written again as it is, with its settings in the file.

    Raises:
        ValueError: when the name does not end in `.safetensors`.
    """
    if out.suffix != ".safetensors":
        raise ValueError(f"the layout 'control-lora' is one file; expected a name ending in .safetensors, got {out.name!r}")
    out.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor if dtype is None else tensor.to(dtype) for name, tensor in found.tensors.items()}
    write_safetensors(out, tensors, {METADATA: json.dumps(found.config.to_dict())} if found.config else None)
    return [out]


def merge_into_base(found: ControlNetFile, base: StableDiffusion | None, what: str) -> ControlNetFile:
    """A Control-LoRA as a full ControlNet, its offsets added to the base's weights.

    Raises:
        ValueError: without a base.
    """
    if base is None:
        raise ValueError(f"{what} holds low-rank offsets from a base (Control-LoRA): give it with --base")
    network = ControlNet.from_file(found, base.unet).merge_lora()
    return replace(found, config=network.config, tensors=dict(network.state_dict()), layout="diffusers")


def transfer(file: ControlNetFile, base: StableDiffusion, to_base: StableDiffusion) -> tuple[ControlNetFile, list[str]]:
    """A ControlNet on another base by the offset recipe, and what to expect of it."""
    assert file.config is not None
    there = ControlNet.from_file(file).transfer(base, to_base)
    lines = encoder_shift(base.unet, to_base.unet).lines()
    return replace(file, config=there.config, tensors=dict(there.state_dict())), list(lines)


def original_of(base: StableDiffusion) -> dict[str, Tensor]:
    """A whole base in the original layout."""
    encoders = [network for network in (base.text_encoder, base.text_encoder_2) if network is not None]
    texts = tuple(dict(network.state_dict()) for network in encoders)
    return write_original(base.family, base.unet.state_dict(), base.vae.state_dict(), texts)
