"""The layouts of a published ControlNet: told apart by their names, read into diffusers' names, and written back."""

import warnings
from collections.abc import Collection, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from zeroconv.checkpoints.architecture.unet_shape import Topology, other_family
from zeroconv.checkpoints.formats.control_lora import MARKER, check_text_width, decompose, from_control_lora, to_control_lora
from zeroconv.checkpoints.formats.identify import what_it_is
from zeroconv.checkpoints.keys.controlnet import controlnet_table

__all__ = ["LAYOUTS", "Layout", "layout_of", "read_layout", "write_layout"]

Layout = Literal["diffusers", "webui", "lllyasviel", "lllyasviel-full", "difference", "control-lora"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

CONTROL = "control_model."
UNET = "model.diffusion_model."
DIFFERENCE = "difference"
EXACT = 1e-4  # rounding alone


def layout_of(names: Collection[str]) -> Layout | None:
    """The layout of a file with these tensors; None when they are no ControlNet's.

    | layout | its names | where it is found |
    |---|---|---|
    | `diffusers` | `controlnet_cond_embedding.conv_in.weight` | folders and files of diffusers |
    | `webui` | `input_hint_block.0.weight`: bare | files extracted for panels |
    | `lllyasviel` | `control_model.input_hint_block.0.weight` | ControlNet 1.1 |
    | `lllyasviel-full` | the same beside `model.diffusion_model.` | ControlNet 1.0: a whole Stable Diffusion with its control |
    | `difference` | a tensor `difference`; the copy as offsets from the base | files made to move between bases |
    | `control-lora` | a tensor `lora_controlnet`; the copy as low-rank offsets | Control-LoRA |
    """
    if MARKER in names:
        return "control-lora"
    if "controlnet_cond_embedding.conv_in.weight" in names:
        return "diffusers"
    bare, prefixed = "input_hint_block.0.weight" in names, f"{CONTROL}input_hint_block.0.weight" in names
    if not (bare or prefixed):
        return None
    if DIFFERENCE in names:
        return "difference"
    if bare:
        return "webui"
    return "lllyasviel-full" if any(name.startswith(UNET) for name in names) else "lllyasviel"


def read_layout(
    tensors: Mapping[str, Tensor], unet: Mapping[str, Tensor] | None = None, what: str = "the file"
) -> dict[str, Tensor]:
    """A ControlNet's tensors under diffusers' names, whatever layout they came in.

    Args:
        tensors: of the file, under its own names.
        unet: the base's U-Net under diffusers' names; offsets need it, the others do not look at it.
        what: the file, for errors.

    Raises:
        ValueError: when it is no ControlNet, a tensor is missing or unknown, or a base is needed and none is given.
    """
    layout = layout_of(tensors.keys())
    if layout is None:
        raise ValueError(
            f"{what} holds no ControlNet: none of its {len(tensors)} tensors is a condition encoder; "
            + what_it_is(tensors.keys())
        )
    if layout == "diffusers":
        return dict(tensors)
    if layout in ("difference", "control-lora") and unet is None:
        kind = "offsets from a base" if layout == "difference" else "low-rank offsets from a base (Control-LoRA)"
        raise ValueError(f"{what} holds {kind}: give the base it was made for too")
    if layout == "control-lora":
        assert unet is not None
        topology = Topology.of_diffusers(shapes_of(unet))
        check_text_width(tensors, topology.context, what)
        return from_control_lora(tensors, unet, controlnet_table(topology))
    bare = bare_names(tensors)
    topology = Topology.of_original(shapes_of(bare))
    ours = controlnet_table(topology).to_ours(bare, what)
    if layout == "difference":
        assert unet is not None
        if reason := other_family(topology, Topology.of_diffusers(shapes_of(unet)), what):
            raise ValueError(reason)
        return added(ours, unet, 1, what)
    return ours


def write_layout(
    tensors: Mapping[str, Tensor],
    layout: str,
    unet: Mapping[str, Tensor] | None = None,
    base: Mapping[str, Tensor] | None = None,
    rank: int | None = None,
) -> dict[str, Tensor]:
    """The inverse of `read_layout`: bit by bit, but for what `difference` and `control-lora` round.

    Args:
        tensors: of a ControlNet under diffusers' names.
        layout: one of `LAYOUTS`.
        unet: the base's U-Net under diffusers' names, for `difference` and `control-lora`.
        base: a whole base in the original layout, for `lllyasviel-full`.
        rank: of the offsets, for `control-lora`.

    Raises:
        ValueError: for an unknown layout, or when what it needs is not given or does not fit.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; expected one of {', '.join(LAYOUTS)}")
    if layout == "diffusers":
        return dict(tensors)
    table = controlnet_table(Topology.of_diffusers(shapes_of(tensors)))
    if layout == "webui":
        return table.to_theirs(tensors)
    if layout == "lllyasviel":
        return table.prefixed(CONTROL).to_theirs(tensors)
    if layout == "lllyasviel-full":
        if base is None:
            raise ValueError("the layout 'lllyasviel-full' holds a whole Stable Diffusion: give the base too")
        return {**base, **table.prefixed(CONTROL).to_theirs(tensors)}
    if unet is None:
        raise ValueError(f"the layout {layout!r} holds offsets from a base: give the base too")
    if layout == "difference":
        offsets = added(tensors, unet, -1, "the ControlNet")
        return {**table.prefixed(CONTROL).to_theirs(offsets), DIFFERENCE: torch.ones(1)}
    if rank is None:
        raise ValueError("the layout 'control-lora' holds offsets of a low rank: say which, 64 for instance")
    found = decompose(tensors, unet, rank)
    if found.error > EXACT:
        left = f"offsets of rank {rank} leave out {found.error:.1%} of what training changed: a higher rank keeps more"
        warnings.warn(left, UserWarning, stacklevel=2)
    return to_control_lora(found.tensors, table)


def bare_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ControlNet's tensors of a file without prefix, marker, or the Stable Diffusion beside them."""
    if any(name.startswith(CONTROL) for name in tensors):
        return {name.removeprefix(CONTROL): tensor for name, tensor in tensors.items() if name.startswith(CONTROL)}
    return {name: tensor for name, tensor in tensors.items() if name not in (DIFFERENCE, MARKER)}


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def added(tensors: Mapping[str, Tensor], unet: Mapping[str, Tensor], sign: int, what: str) -> dict[str, Tensor]:
    """Tensors plus (or minus) the U-Net's of the same name, summed in float32 or wider; the others as they are.

    Where both numbers are within a factor of two of each other, as after training, the offset is exact and adding it
    gives the number back bit by bit.

    Raises:
        ValueError: naming the first tensor that has another shape in the U-Net.
    """
    for name in tensors.keys() & unet.keys():
        if tensors[name].shape != unet[name].shape:
            raise ValueError(
                f"{what} was made for another base: {name!r} has shape {tuple(tensors[name].shape)}, "
                f"in this base {tuple(unet[name].shape)}"
            )
    return {
        name: (tensor.float() + sign * unet[name].float()).to(tensor.dtype) if name in unet else tensor
        for name, tensor in tensors.items()
    }
