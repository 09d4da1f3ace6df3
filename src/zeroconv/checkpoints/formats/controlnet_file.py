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
from zeroconv.checkpoints.architecture.unet_shape import Topology, other_family
from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.checkpoints.files.safetensors import read_header
from zeroconv.checkpoints.files.shards import WEIGHTS, remove_shards, write_shards
from zeroconv.checkpoints.files.torch_pickle import PICKLE_ENDINGS, read_pickle, write_pickle
from zeroconv.checkpoints.formats.configs import controlnet_config
from zeroconv.checkpoints.formats.control_lora import FILE
from zeroconv.checkpoints.formats.controlnet_config import (
    CLASS_NAME,
    OWN_CLASS_NAME,
    OWN_KEY,
    ControlNetConfig,
    config_from_unet,
)
from zeroconv.checkpoints.formats.controlnet_hints import METADATA, NOTHING_SAID, Rules, guess_rules, rules_in
from zeroconv.checkpoints.formats.controlnet_layouts import layout_of, read_layout, write_layout
from zeroconv.checkpoints.formats.single_file import shapes_of
from zeroconv.checkpoints.keys.controlnet import condition_encoder_shape

__all__ = ["Saved", "override_config", "read_saved", "read_stored_config", "write_saved"]


@dataclass(frozen=True)
class Saved:
    """A ControlNet as it lies in a file.

    Attributes:
        config: None for a Control-LoRA that came without.
        tensors: in our names, but of a Control-LoRA in the file's.
        layout: one of `checkpoints.layouts.LAYOUTS`.
        rules: what was said or guessed about a Control-LoRA that came without settings.
    """

    config: ControlNetConfig | None
    tensors: dict[str, Tensor]
    layout: str
    rules: Rules = NOTHING_SAID


def read_saved(
    place: Path, unet: Any = None, said: Rules = NOTHING_SAID, pickles: bool = False, called: str | None = None
) -> Saved:
    """Read a ControlNet in whatever layout it is; what had to be guessed is announced as a warning.

    Args:
        place: a folder in the diffusers layout, or a file.
        unet: the base's U-Net: files that hold offsets need it, and files without settings take the base's.
        said: what the user says about it; believed before anything else.
        pickles: whether `.pth` files are opened too.
        called: what the user called a folder: a hub's folder is named by a commit.

    Raises:
        FileNotFoundError: when there is nothing.
        ValueError: one line, when it is broken, of another kind, or needs a base that is not given.
    """
    if place.is_dir():
        stored = read_config(place, CLASS_NAME, OWN_CLASS_NAME)
        config = parse_config(stored, place)
        if OWN_KEY not in stored:  # a stranger's: everything but the condition is in its settings
            rules = Rules(guess_rules(Path(called or place).name).condition)
            announce(called or place.name, rules, said)
            config = override_config(config, rules)
        low_rank = config.variant == "lora"
        tensors = read_safetensors(place / FILE) if low_rank else read_weights(place)
        return Saved(override_config(config, said), tensors, "control-lora" if low_rank else "diffusers")
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
        if carried:
            return Saved(override_config(parse_config(carried, place), said), tensors, layout)
        return Saved(None, tensors, layout, said.over(announced(place, said)))
    ours = read_layout(tensors, None if unet is None else unet.state_dict(), str(place))
    carried = rules_in(metadata)
    config = parse_config(carried, place) if carried else guessed(place, ours, unet, said)
    return Saved(override_config(config, said), ours, layout or "diffusers")


def read_stored_config(place: Path) -> ControlNetConfig | None:
    """The configuration that a folder or file carries, read without its tensors; None for a file that carries none.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it describes no ControlNet.
    """
    carried = read_config(place) if place.is_dir() else rules_in(read_header(place).metadata)
    return parse_config(carried, place) if carried else None


def parse_config(config: Mapping[str, Any], place: Path) -> ControlNetConfig:
    """The configuration that a file or folder holds.

    Raises:
        ValueError: naming the file, when it describes no ControlNet.
    """
    try:
        return ControlNetConfig.from_dict(config)
    except ValueError as error:
        where = place / "config.json" if place.is_dir() else place
        raise ValueError(f"{where} describes no ControlNet: {error}") from error


def override_config(config: ControlNetConfig, said: Rules) -> ControlNetConfig:
    """The configuration with what the user said in place of what the file says."""
    return replace(config, **{name: value for name, value in vars(said).items() if value is not None})


def announced(place: Path, said: Rules) -> Rules:
    """What a file's name says about it, announced as a warning as far as the user did not say it."""
    rules = guess_rules(place.stem)
    announce(place.name, rules, said)
    return rules


def announce(name: str, rules: Rules, said: Rules) -> None:
    """Warn of what was guessed from a name and not said by the user."""
    new = Rules(**{key: value for key, value in vars(rules).items() if getattr(said, key) is None})
    if new.sentences():
        warnings.warn(f"{name}: guessed from its name: {'; '.join(new.sentences())}", UserWarning, stacklevel=6)


def guessed(place: Path, tensors: Mapping[str, Tensor], unet: Any, said: Rules) -> ControlNetConfig:
    """Settings of a file that carries none: the base's where it fits, else from shapes; and, announced, from its name."""
    rules = announced(place, said)
    shapes = shapes_of(tensors)
    encoder, topology = condition_encoder_shape(shapes), Topology.of_diffusers(shapes)
    if unet is not None and (reason := other_family(topology, Topology.of_config(unet.config), str(place))):
        raise ValueError(reason)
    if unet is not None and replace(Topology.of_config(unet.config), out_channels=None) == topology:
        config = config_from_unet(unet, encoder.channels, conditioning_embedding_out_channels=encoder.widths)
    else:
        try:
            config = parse_config(controlnet_config(topology, None, None, encoder.channels, encoder.widths), place)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return override_config(config, rules)


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
    if layout == "diffusers":
        if out.suffix in (".safetensors", *PICKLE_ENDINGS):
            raise ValueError(f"{out} looks like a file; the layout 'diffusers' is a folder: give one")
        if saved.config.class_name == CLASS_NAME:
            write_layout(saved.tensors, "webui")  # names what is missing or too much: such a folder would open nowhere
        tensors = cast(saved.tensors, dtype)
        if shard_bytes is not None:
            files = write_shards(out, tensors, shard_bytes)
            write_text(out / "config.json", json.dumps(saved.config.to_dict(), indent=2, sort_keys=True) + "\n")
            return [*files, out / "config.json"]
        write_model_folder(out, saved.config.to_dict(), tensors)
        remove_shards(out)
        return [out / "config.json", out / WEIGHTS]
    if saved.config.variant == "lite" or saved.config.condition_encoder == "paper":
        form = "the lite form" if saved.config.variant == "lite" else "the paper's condition encoder"
        raise ValueError(f"{form} has no place in the layout {layout!r}: write it as diffusers")
    if out.suffix not in (".safetensors", ".pth"):
        raise ValueError(f"the layout {layout!r} is one file; expected a name ending in .safetensors or .pth, got {out.name!r}")
    written = cast(write_layout(saved.tensors, layout, unet, base, rank), dtype)
    out.parent.mkdir(parents=True, exist_ok=True)
    rules = Rules(
        global_pool_conditions=saved.config.global_pool_conditions or None,
        channel_order=saved.config.channel_order,
    )
    pickled = out.suffix == ".pth"
    reader = "which cannot carry settings" if pickled else "whose settings other tools do not read"
    for sentence in rules.sentences():
        warnings.warn(f"{out.name} is a {out.suffix}, {reader}: say when it is used that {sentence}", stacklevel=2)
    if pickled:
        write_pickle(out, written)
    else:
        config = saved.config
        if layout == "control-lora":
            config = replace(config, variant="lora", rank=rank, vectors=None)
        write_safetensors(out, written, {METADATA: json.dumps(config.to_dict())})
    return [out]


def cast(tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Numbers in another type, or as they are; whole numbers and markers stay."""
    change = {name for name, tensor in tensors.items() if dtype is not None and tensor.is_floating_point()}
    return {name: tensor.to(dtype) if name in change else tensor for name, tensor in tensors.items()}
