"""From a file or folder in any layout to the settings and tensors of a ControlNet, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zeroconv.checkpoints import read_config, read_weights, write_model_folder, write_safetensors
from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.checkpoints.files.safetensors import read_header
from zeroconv.checkpoints.files.shards import WEIGHTS, remove_shards, write_shards
from zeroconv.checkpoints.files.torch_pickle import PICKLE_ENDINGS, read_pickle, write_pickle
from zeroconv.checkpoints.files.wrappers import read_published, unwrap
from zeroconv.checkpoints.formats.control_lora import FILE, to_control_lora
from zeroconv.checkpoints.formats.controlnet_config import (
    CLASS_NAME,
    OWN_CLASS_NAME,
    OWN_KEY,
    ControlNetConfig,
)
from zeroconv.checkpoints.formats.controlnet_hints import METADATA, NO_HINTS, ControlNetHints, config_in_metadata, guess_hints
from zeroconv.checkpoints.formats.controlnet_layouts import NO_UNION, Layout, drop_extras, layout_of, read_layout, write_layout
from zeroconv.checkpoints.formats.controlnet_settings import (
    announce,
    guess_config,
    guess_from_name,
    override_config,
    parse_config,
)
from zeroconv.checkpoints.formats.controlnet_union import (
    UNION_CLASS,
    check_union_names,
    is_union_name,
)
from zeroconv.checkpoints.keys.controlnet import controlnet_table
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

__all__ = [
    "ControlNetFile",
    "read_controlnet",
    "write_controlnet",
    "write_controlnet_folder",
]


@dataclass(frozen=True)
class ControlNetFile:
    """A ControlNet as it lies in a file or folder.

    Attributes:
        config: None for a Control-LoRA that came without.
        tensors: in our names, but of a Control-LoRA in the file's.
        layout: of the file.
        path: of the file or folder.
        hints: what was said or guessed about a Control-LoRA that came without a configuration.
    """

    config: ControlNetConfig | None
    tensors: dict[str, Tensor]
    layout: Layout
    path: Path
    hints: ControlNetHints = NO_HINTS


def read_controlnet(
    path: Path,
    unet: "UNet2DConditionModel | None" = None,
    hints: ControlNetHints = NO_HINTS,
    pickles: bool = False,
    name: str | None = None,
) -> ControlNetFile:
    """Read a ControlNet in whatever layout it is; what had to be guessed is announced as a warning.

    Args:
        path: a folder in the diffusers layout, or a file.
        unet: the base's U-Net: files that hold offsets need it, and files without a configuration take the base's.
        hints: what the user says about it; believed before anything else.
        pickles: whether `.pth` files are opened too.
        name: what the user called a folder: a hub's folder is named by a commit.

    Raises:
        FileNotFoundError: when there is nothing.
        ValueError: one line, when it is broken, of another kind, or needs a base that is not given.
    """
    if path.is_dir():
        return read_folder(path, hints, name or path.name)
    if path.suffix not in PICKLE_ENDINGS:
        return read_file(path, read_published(path), read_header(path).metadata, unet, hints)
    if not pickles:
        raise ValueError(
            f"{path} is a pickle, which only `zeroconv convert` opens: zeroconv convert {path} "
            f"{path.with_suffix('.safetensors').name} --to webui"
        )
    return read_file(path, unwrap(read_pickle(path), str(path)), {}, unet, hints)


def read_folder(folder: Path, hints: ControlNetHints, name: str) -> ControlNetFile:
    """A folder in the layout of diffusers, this project's or written by another program."""
    stored = read_config(folder)
    found = stored.get("_class_name", CLASS_NAME)  # diffusers does not ask for it either
    if found not in (CLASS_NAME, OWN_CLASS_NAME, UNION_CLASS):
        raise ValueError(f"{folder / 'config.json'} describes {found!r:.80}; expected {CLASS_NAME} or {OWN_CLASS_NAME}")
    config = parse_config(stored, folder)
    if OWN_KEY not in stored and config.union is None:  # by another program: everything but the condition is in its settings
        guess = ControlNetHints(guess_hints(Path(name).name).condition)
        announce(name, guess, hints)
        config = override_config(config, guess)
    low_rank = config.variant == "lora"
    tensors = read_published(folder / FILE) if low_rank else unwrap(read_weights(folder), str(folder))
    if not low_rank:
        tensors = drop_extras(tensors, str(folder))
    config = override_config(config, hints) if hints != NO_HINTS else config
    return ControlNetFile(config, tensors, "control-lora" if low_rank else "diffusers", folder)


def read_file(
    path: Path,
    tensors: dict[str, Tensor],
    metadata: Mapping[str, str],
    unet: "UNet2DConditionModel | None",
    hints: ControlNetHints,
) -> ControlNetFile:
    """A single file, by the reader of its layout; with the configuration it carries, or one that is guessed."""
    layout, carried = layout_of(tensors.keys()), config_in_metadata(metadata)
    if layout == "control-lora":
        if carried is None:
            return ControlNetFile(None, tensors, layout, path, hints.or_else(guess_from_name(path, hints)))
        return ControlNetFile(override_config(parse_config(carried, path), hints), tensors, layout, path)
    ours = read_layout(tensors, None if unet is None else unet.state_dict(), str(path))
    config = guess_config(path, ours, unet, hints) if carried is None else parse_config(carried, path)
    return ControlNetFile(override_config(config, hints), ours, layout or "diffusers", path)


def write_controlnet_folder(
    folder: Path, config: ControlNetConfig, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None
) -> Path:
    """Write a folder in the layout of diffusers; of a low-rank network with a Control-LoRA that other tools open too.

    Args:
        folder: made if it is not there.
        config: written as `config.json`.
        tensors: in our names; of a low-rank network its own and the base's biases and norms.
        dtype: type of the stored weights; as they are if left out, but a Control-LoRA in half precision, as published.

    Raises:
        OSError: when it cannot be written, naming it.
    """
    low_rank = config.variant == "lora"
    dtype = dtype or (torch.float16 if low_rank else None)
    stored, settings = {name: tensor.to(dtype or tensor.dtype) for name, tensor in tensors.items()}, config.to_dict()
    if not low_rank:
        return write_model_folder(folder, settings, stored)
    file = to_control_lora(stored, controlnet_table(config.unet_shape))
    return write_model_folder(folder, settings, file, FILE, {METADATA: json.dumps(settings)})


def write_controlnet(
    file: ControlNetFile,
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
        file: its tensors in our names.
        out: a folder for `diffusers`, a file for the others, ending in `.safetensors` or `.pth`.
        layout: one of `controlnet_layouts.LAYOUTS`.
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
    assert file.config is not None, "a Control-LoRA is opened on its base before it is written otherwise"
    if layout == "diffusers":
        if out.suffix in (".safetensors", *PICKLE_ENDINGS):
            raise ValueError(f"{out} looks like a file; the layout 'diffusers' is a folder: give one")
        check_complete(file.config, file.tensors)
        tensors = cast(file.tensors, dtype)
        if shard_bytes is not None:
            files = write_shards(out, tensors, shard_bytes)
            write_text(out / "config.json", json.dumps(file.config.to_dict(), indent=2, sort_keys=True) + "\n")
            return [*files, out / "config.json"]
        write_model_folder(out, file.config.to_dict(), tensors)
        remove_shards(out)
        return [out / "config.json", out / WEIGHTS]
    if file.config.union is not None:
        raise ValueError(NO_UNION.format(layout=layout))
    if file.config.variant == "lite" or file.config.condition_encoder == "paper":
        form = "the lite form" if file.config.variant == "lite" else "the paper's condition encoder"
        raise ValueError(f"{form} has no place in the layout {layout!r}: write it as diffusers")
    if out.suffix not in (".safetensors", ".pth"):
        raise ValueError(f"the layout {layout!r} is one file; expected a name ending in .safetensors or .pth, got {out.name!r}")
    written = cast(write_layout(file.tensors, layout, unet, base, rank), dtype)
    out.parent.mkdir(parents=True, exist_ok=True)
    hints = ControlNetHints(
        global_pool_conditions=file.config.global_pool_conditions or None,
        channel_order=file.config.channel_order,
    )
    pickled = out.suffix == ".pth"
    reader = "which cannot carry settings" if pickled else "whose settings other tools do not read"
    for sentence in hints.sentences():
        tell(Message(f"{out.name} is a {out.suffix}, {reader}: say when it is used that {sentence}", "file.settings"))
    if pickled:
        write_pickle(out, written)
    else:
        config = replace(file.config, unlocked_decoder=False)
        if file.config.unlocked_decoder:
            said = f"{out.name} has the unlocked decoder in the place of its base's: give it as base, too, when it is used"
            tell(Message(said, "file.settings"))
        if layout == "control-lora":
            config = replace(config, variant="lora", rank=rank, vectors=None)
        write_safetensors(out, written, {METADATA: json.dumps(config.to_dict())})
    return [out]


def check_complete(config: ControlNetConfig, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a network of diffusers' own classes that has not exactly its tensors: its folder would open nowhere.

    Raises:
        ValueError: naming the first that is missing or unknown.
    """
    if config.union is not None:
        check_union_names(config.union, tensors)
        tensors = {name: tensor for name, tensor in tensors.items() if not is_union_name(name)}
    elif config.class_name != CLASS_NAME:
        return
    write_layout(tensors, "webui")


def cast(tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Numbers in another type, or as they are; whole numbers and markers stay."""
    change = {name for name, tensor in tensors.items() if dtype is not None and tensor.is_floating_point()}
    return {name: tensor.to(dtype) if name in change else tensor for name, tensor in tensors.items()}
