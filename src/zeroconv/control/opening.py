"""From a file or folder in any layout to the settings and tensors of a ControlNet, and back."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zeroconv.checkpoints import read_config, read_safetensors, read_weights, write_model_folder, write_safetensors
from zeroconv.checkpoints.configs import controlnet_config
from zeroconv.checkpoints.control_lora import FILE
from zeroconv.checkpoints.layouts import layout_of, read_layout, write_layout
from zeroconv.checkpoints.names.controlnet import condition_encoder_shape
from zeroconv.checkpoints.original import shapes_of
from zeroconv.checkpoints.pickle_file import PICKLE_ENDINGS, read_pickle, write_pickle
from zeroconv.checkpoints.rules import METADATA, NOTHING_SAID, Rules, guess_rules, rules_in
from zeroconv.checkpoints.safetensors_file import read_header
from zeroconv.checkpoints.shards import write_shards, write_text
from zeroconv.checkpoints.topology import Topology
from zeroconv.control.settings import CLASS_NAME, OWN_CLASS_NAME, birth_settings, complete

__all__ = ["Saved", "read_saved", "write_saved"]


@dataclass(frozen=True)
class Saved:
    """A ControlNet as it lies in a file.

    Attributes:
        config: complete settings; None for a Control-LoRA that came without.
        tensors: in our names, but of a Control-LoRA in the file's.
        layout: one of `checkpoints.layouts.LAYOUTS`.
    """

    config: dict[str, Any] | None
    tensors: dict[str, Tensor]
    layout: str


def read_saved(place: Path, unet: Any = None, said: Rules = NOTHING_SAID, pickles: bool = False) -> Saved:
    """Read a ControlNet in whatever layout it is; what had to be guessed is announced as a warning.

    Args:
        place: a folder in the diffusers layout, or a file.
        unet: the base's U-Net: files that hold offsets need it, and files without settings take the base's.
        said: what the user says about it; believed before anything else.
        pickles: whether `.pth` files are opened too.

    Raises:
        FileNotFoundError: when there is nothing.
        ValueError: one line, when it is broken, of another kind, or needs a base that is not given.
    """
    if place.is_dir():
        config = complete_config(read_config(place, CLASS_NAME, OWN_CLASS_NAME), place)
        low_rank = config["_zeroconv"]["variant"] == "lora"
        tensors = read_safetensors(place / FILE) if low_rank else read_weights(place)
        return Saved(told(config, said), tensors, "control-lora" if low_rank else "diffusers")
    if place.suffix in PICKLE_ENDINGS:
        if not pickles:
            raise ValueError(
                f"{place} is a pickle, which only `zeroconv convert` opens: zeroconv convert {place} "
                f"{place.with_suffix('.safetensors').name} --to webui"
            )
        tensors, metadata = read_pickle(place), {}
    else:
        tensors, metadata = read_safetensors(place), read_header(place).metadata
    layout = layout_of(tensors.keys())
    if layout == "control-lora":
        carried = rules_in(metadata)
        config = complete_config(carried, place) if carried else None
        return Saved(told(config, said) if config else None, tensors, layout)
    ours = read_layout(tensors, None if unet is None else unet.state_dict(), str(place))
    carried = rules_in(metadata)
    config = complete_config(carried, place) if carried else guessed(place, ours, unet, said)
    return Saved(told(config, said), ours, layout or "diffusers")


def complete_config(config: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """The settings with their defaults.

    Raises:
        ValueError: when they describe no ControlNet.
    """
    try:
        return complete(dict(config))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        where = place / "config.json" if place.is_dir() else place
        raise ValueError(f"{where} describes no ControlNet: {type(error).__name__}: {error}") from error


def told(config: dict[str, Any], said: Rules) -> dict[str, Any]:
    """The settings with what the user said in place of what the file says."""
    plain = {name: value for name, value in vars(said).items() if name != "condition" and value is not None}
    extra = {} if said.condition is None else {"condition": said.condition}
    return {**config, **plain, "_zeroconv": {**config["_zeroconv"], **extra}}


def guessed(place: Path, tensors: Mapping[str, Tensor], unet: Any, said: Rules) -> dict[str, Any]:
    """Settings of a file that carries none: the base's where it fits, else from shapes; and, announced, from its name."""
    rules = guess_rules(place.stem)
    new = Rules(**{name: value for name, value in vars(rules).items() if getattr(said, name) is None})
    if new.sentences():
        warnings.warn(f"{place.name}: guessed from its name: {'; '.join(new.sentences())}", UserWarning, stacklevel=5)
    shapes = shapes_of(tensors)
    encoder, topology = condition_encoder_shape(shapes), Topology.of_diffusers(shapes)
    if unet is not None and replace(Topology.of_config(unet.config), out_channels=None) == topology:
        config = birth_settings(unet, encoder.channels, condition_encoder_channels=encoder.widths)
    else:
        try:
            config = controlnet_config(topology, None, None, encoder.channels, encoder.widths)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return told(complete_config(config, place), rules)


def write_saved(
    saved: Saved,
    out: Path,
    layout: str,
    unet: Mapping[str, Tensor] | None = None,
    base: Mapping[str, Tensor] | None = None,
    rank: int | None = None,
    dtype: torch.dtype | None = None,
    shard_bytes: int | None = None,
) -> list[Path]:
    """Write a ControlNet in a layout; every file is complete, or as it was before.

    Args:
        saved: its tensors in our names.
        out: a folder for `diffusers`, a file for the others, ending in `.safetensors` or `.pth`.
        layout: one of `checkpoints.layouts.LAYOUTS`.
        unet: the base's U-Net, for offsets.
        base: the whole base in the original layout, for `lllyasviel-full`.
        rank: of the offsets of `control-lora`.
        dtype: type of the written tensors; as they are if left out.
        shard_bytes: for `diffusers`: several files of about this size, and their index.

    Returns:
        The files that were written.

    Raises:
        ValueError: for an ending or layout that is not known, or something the layout needs and that is not given.
        OSError: when it cannot be written.
    """
    assert saved.config is not None, "a Control-LoRA is opened on its base before it is written otherwise"
    tensors = {name: tensor if dtype is None else tensor.to(dtype) for name, tensor in saved.tensors.items()}
    if layout == "diffusers":
        if out.suffix in (".safetensors", *PICKLE_ENDINGS):
            raise ValueError(f"{out} looks like a file; the layout 'diffusers' is a folder: give one")
        if shard_bytes is not None:
            files = write_shards(out, tensors, shard_bytes)
            write_text(out / "config.json", json.dumps(saved.config, indent=2, sort_keys=True) + "\n")
            return [*files, out / "config.json"]
        folder = write_model_folder(out, saved.config, tensors)
        return sorted(folder.glob("*.*"))
    if out.suffix not in (".safetensors", ".pth"):
        raise ValueError(f"the layout {layout!r} is one file; expected a name ending in .safetensors or .pth, got {out.name!r}")
    written = write_layout(tensors, layout, unet, base, rank)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".pth":
        rules = Rules(
            global_pool_conditions=saved.config["global_pool_conditions"] or None,
            controlnet_conditioning_channel_order=saved.config["controlnet_conditioning_channel_order"],
        )
        for sentence in rules.sentences():
            warnings.warn(
                f"{out.name} is a .pth, which cannot carry settings: say when it is used that {sentence}", stacklevel=2
            )
        write_pickle(out, written)
    else:
        config = saved.config
        if layout == "control-lora":
            low_rank = {**config["_zeroconv"], "variant": "lora", "rank": rank}
            config = {**config, "_class_name": OWN_CLASS_NAME, "_zeroconv": low_rank}
        write_safetensors(out, written, {METADATA: json.dumps(config)})
    return [out]
