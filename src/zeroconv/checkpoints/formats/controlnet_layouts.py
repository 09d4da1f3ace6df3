"""The layouts of a published ControlNet: told apart by their names, read into diffusers' names, and written back."""

from collections.abc import Callable, Collection, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from zeroconv.checkpoints.architecture.unet_shape import UNetShape, other_family
from zeroconv.checkpoints.formats.control_lora import MARKER, check_text_width, decompose, from_control_lora, to_control_lora
from zeroconv.checkpoints.formats.controlnet_union import UNION, is_union, is_union_name
from zeroconv.checkpoints.formats.identify import foreign_network, identify
from zeroconv.checkpoints.keys.controlnet import controlnet_table
from zeroconv.checkpoints.keys.unet import decoder_table
from zeroconv.messages import Message, tell

__all__ = ["DECODER", "LAYOUTS", "NO_UNION", "Layout", "drop_extras", "extras_of", "layout_of", "read_layout", "write_layout"]

Layout = Literal["diffusers", "webui", "lllyasviel", "lllyasviel-full", "difference", "control-lora"]
LAYOUTS: tuple[str, ...] = get_args(Layout)

CONTROL = "control_model."
UNET = "model.diffusion_model."
DIFFERENCE = "difference"
DECODER = "decoder."  # before the names of an unlocked decoder
EXACT = 1e-4  # rounding alone
MODULES = {
    "conv_in", "time_embedding", "add_embedding", "down_blocks", "mid_block",
    "controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block", "decoder",
    "input_blocks", "time_embed", "label_emb", "middle_block", "input_hint_block", "zero_convs", "middle_block_out",
}  # fmt: skip
"""The parts of a ControlNet, as diffusers and as the authors call them."""
FEW = 8
"""So many tensors beside a network are passed over; more are a network of another kind."""
NO_UNION = UNION + " has no place in the layout {layout!r}: it is read and written under diffusers' names alone"


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
    if foreign_network(names):  # several of other families have a condition encoder of the same name
        return None
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
            + identify(shapes_of(tensors))
        )
    if layout != "diffusers" and is_union(tensors):
        raise ValueError(f"{what}: {NO_UNION.format(layout=layout)}")
    return READERS[layout](tensors, unet, what)


def read_diffusers(tensors: Mapping[str, Tensor], unet: Mapping[str, Tensor] | None, what: str) -> dict[str, Tensor]:
    """Of `diffusers`: they have our names already."""
    return drop_extras(tensors, what)


def read_original(tensors: Mapping[str, Tensor], unet: Mapping[str, Tensor] | None, what: str) -> dict[str, Tensor]:
    """Of `webui`, `lllyasviel` and `lllyasviel-full`: whole tensors under the original names."""
    bare = bare_names(tensors)
    return controlnet_table(UNetShape.of_original(shapes_of(bare))).to_ours(drop_extras(bare, what), what)


def extras_of(names: Collection[str]) -> set[str]:
    """A few tensors that are in no module of a ControlNet, as programs leave them beside one: counters, names, a scale.

    Args:
        names: of a ControlNet's file, without a prefix.

    Returns:
        None of them when there are many: then it is another network.
    """
    extras = {name for name in names if name.partition(".")[0] not in MODULES and not is_union_name(name)}
    return extras if len(extras) <= FEW else set()


def drop_extras(tensors: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """The tensors without extras, which are told."""
    extras = extras_of(tensors.keys())
    if extras:
        said = f"{what} holds what no ControlNet has: {', '.join(sorted(extras)):.100}; it is passed over"
        tell(Message(said, "file.left-out"))
    return {name: tensor for name, tensor in tensors.items() if name not in extras}


def read_difference(tensors: Mapping[str, Tensor], unet: Mapping[str, Tensor] | None, what: str) -> dict[str, Tensor]:
    """Of `difference`: offsets, added to the base's tensors."""
    if unet is None:
        raise ValueError(f"{what} holds offsets from a base: give the base it was made for too")
    ours = read_original(tensors, unet, what)
    if reason := other_family(UNetShape.of_diffusers(shapes_of(ours)), UNetShape.of_diffusers(shapes_of(unet)), what):
        raise ValueError(reason)
    return add_unet_weights(ours, unet, 1, what)


def read_low_rank(tensors: Mapping[str, Tensor], unet: Mapping[str, Tensor] | None, what: str) -> dict[str, Tensor]:
    """Of `control-lora`: low-rank offsets, multiplied out and added to the base's tensors."""
    if unet is None:
        raise ValueError(f"{what} holds low-rank offsets from a base (Control-LoRA): give the base it was made for too")
    shape = UNetShape.of_diffusers(shapes_of(unet))
    check_text_width(tensors, shape.context, what)
    return from_control_lora(tensors, unet, controlnet_table(shape))


READERS: dict[Layout, Callable[[Mapping[str, Tensor], Mapping[str, Tensor] | None, str], dict[str, Tensor]]] = {
    "diffusers": read_diffusers,
    "webui": read_original,
    "lllyasviel": read_original,
    "lllyasviel-full": read_original,
    "difference": read_difference,
    "control-lora": read_low_rank,
}
"""What turns a file's tensors, with the base's and the file's name, into those of a ControlNet under our names."""


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
    decoder = {name.removeprefix(DECODER): tensor for name, tensor in tensors.items() if name.startswith(DECODER)}
    if decoder and layout != "lllyasviel-full":
        raise ValueError(
            f"this ControlNet has unlocked its base's decoder, which has no place in the layout {layout!r}: write it as "
            "diffusers, or as lllyasviel-full together with its base"
        )
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(DECODER)}
    shape = UNetShape.of_diffusers(shapes_of(tensors))
    table = controlnet_table(shape)
    if layout == "webui":
        return table.to_theirs(tensors)
    if layout == "lllyasviel":
        return table.add_prefix(CONTROL).to_theirs(tensors)
    if layout == "lllyasviel-full":
        if base is None:
            raise ValueError("the layout 'lllyasviel-full' holds a whole Stable Diffusion: give the base too")
        unlocked = decoder_table(shape).add_prefix(UNET).to_theirs(decoder) if decoder else {}
        return {**base, **unlocked, **table.add_prefix(CONTROL).to_theirs(tensors)}
    if unet is None:
        raise ValueError(f"the layout {layout!r} holds offsets from a base: give the base too")
    if layout == "difference":
        offsets = add_unet_weights(tensors, unet, -1, "the ControlNet")
        return {**table.add_prefix(CONTROL).to_theirs(offsets), DIFFERENCE: torch.ones(1)}
    if rank is None:
        raise ValueError("the layout 'control-lora' holds offsets of a low rank: say which, 64 for instance")
    found = decompose(tensors, unet, rank)
    if found.error > EXACT:
        left = f"offsets of rank {rank} leave out {found.error:.1%} of what training changed: a higher rank keeps more"
        tell(Message(left, "file.rank"))
    return to_control_lora(found.tensors, table)


def bare_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The ControlNet's tensors of a file without prefix, marker, or the Stable Diffusion beside them."""
    if any(name.startswith(CONTROL) for name in tensors):
        return {name.removeprefix(CONTROL): tensor for name, tensor in tensors.items() if name.startswith(CONTROL)}
    return {name: tensor for name, tensor in tensors.items() if name not in (DIFFERENCE, MARKER)}


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def add_unet_weights(tensors: Mapping[str, Tensor], unet: Mapping[str, Tensor], sign: int, what: str) -> dict[str, Tensor]:
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
