"""Control-LoRA: a ControlNet as offsets of low rank from its base, in the original layout, as other tools read it.

| tensor | meaning |
|---|---|
| `lora_controlnet` | empty; marks the file |
| `<module>.up` (o, r), `<module>.down` (r, i, …) | the weight is `W_base + up · down`, both flattened to matrices |
| `<module>.weight`, `<module>.bias` | in place of the base's; of one dimension (biases, norms) always there |
| `input_hint_block.*`, `zero_convs.*`, `middle_block_out.*` | whole: the base has nothing like them |

Our names of the same tensors are those of diffusers' `ControlNetModel`, with `.up` and `.down` likewise.

Other tools take only the weights of linear layers and convolutions from the base, and tell its family by a norm in the
file; so the files we write carry every bias and norm, equal to the base's or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from zeroconv.checkpoints.architecture.families import width_title
from zeroconv.checkpoints.keys.table import Table

__all__ = [
    "Decomposition",
    "check_text_width",
    "decompose",
    "effective_weight",
    "from_control_lora",
    "read_control_lora",
    "to_control_lora",
]

FILE = "control-lora.safetensors"
MARKER = "lora_controlnet"
PARTS = ("down", "up", "weight", "bias")
NEW_MODULE_PREFIX = "controlnet_"  # modules that the base has no counterpart of begin with this in our names


@dataclass(frozen=True)
class Decomposition:
    """A full ControlNet as offsets from its base.

    Attributes:
        tensors: low-rank updates and whole tensors, in our names.
        rank: of the updates.
        error: what the updates leave out, ‖Δ - up · down‖ / ‖Δ‖ over all weights; 0 when nothing is lost.
    """

    tensors: dict[str, Tensor]
    rank: int
    error: float


def effective_weight(weight: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """`W + up · down`, computed in float32, like `weight`."""
    update = up.float().flatten(1) @ down.float().flatten(1)
    return (weight.float() + update.reshape(weight.shape)).to(weight.dtype)


def to_control_lora(own: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """The tensors of a file from those a low-rank network has of its own.

    Args:
        own: in our names; see `Decomposition.tensors`.
        table: the ControlNet's names.

    Raises:
        ValueError: for a tensor that the layout has no name for.
    """
    theirs = modules(table)
    made = {MARKER: torch.zeros(0, dtype=next((tensor.dtype for tensor in own.values()), torch.float32))}
    for name, tensor in own.items():
        module, _, part = name.rpartition(".")
        if module not in theirs:
            raise ValueError(f"the Control-LoRA layout has no name for {name!r}; it knows the released form of a ControlNet")
        made[f"{theirs[module]}.{part}"] = tensor
    return made


def read_control_lora(tensors: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """The inverse of `to_control_lora`: what a file holds, in our names.

    Raises:
        ValueError: when it is no Control-LoRA, or a tensor is missing or unknown, naming the first.
    """
    if MARKER not in tensors:
        raise ValueError(f"this is no Control-LoRA: it has no tensor {MARKER!r}; open it as what it is, or `zeroconv info` it")
    ours = {theirs: module for module, theirs in modules(table).items()}
    own: dict[str, Tensor] = {}
    unknown: list[str] = []
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if module in ours and part in PARTS:
            own[f"{ours[module]}.{part}"] = tensor
        elif name != MARKER:
            unknown.append(name)
    pairs = (name.removesuffix(a) + b for a, b in ((".up", ".down"), (".down", ".up")) for name in own if name.endswith(a))
    whole = (name for entry in table.entries for name in entry.ours if name.startswith(NEW_MODULE_PREFIX))
    missing = [name for name in (*pairs, *whole) if name not in own]
    if unknown or missing:
        first = f"tensor {unknown[0]!r} is unknown" if unknown else f"tensor {missing[0]!r} (in diffusers' names) is missing"
        raise ValueError(
            f"this Control-LoRA does not fit the base: {first} ({len(missing)} missing, {len(unknown)} unknown); "
            "use a base of the family it was made for"
        )
    return own


def check_text_width(tensors: Mapping[str, Tensor], width: int, what: str = "this Control-LoRA") -> None:
    """Compare what a file's cross-attention reads with what the base's reads: the plainest word on another family.

    Args:
        tensors: of the file.
        width: of the base's text.
        what: the file, for the error.

    Raises:
        ValueError: naming both families.
    """
    ends = ("attn2.to_k.down", "attn2.to_v.down", "attn2.to_k.weight", "attn2.to_v.weight")
    found = next((tensor.shape[1] for name, tensor in tensors.items() if name.endswith(ends) and tensor.ndim > 1), width)
    if found != width:
        raise ValueError(
            f"{what} was made for {width_title(found)}, the base is {width_title(width)}: "
            "a Control-LoRA is an offset from its base; use one made for this family, or a base of its family"
        )


def from_control_lora(tensors: Mapping[str, Tensor], unet: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """A full ControlNet from a Control-LoRA file and the U-Net it is an offset from.

    Args:
        tensors: of the file.
        unet: of the base, in our names.
        table: the ControlNet's names.

    Returns:
        Every tensor of the ControlNet in our names; weights with an update in the base's type.

    Raises:
        ValueError: when the file does not fit.
    """
    own = read_control_lora(tensors, table)
    full: dict[str, Tensor] = {}
    for name in (name for entry in table.entries for name in entry.ours):
        module, _, part = name.rpartition(".")
        tensor = own[name] if name in own else unet[name]
        if part == "weight" and f"{module}.up" in own:
            up, down = own[f"{module}.up"], own[f"{module}.down"]
            check_update(module, tuple(tensor.shape), tuple(up.shape), tuple(down.shape))
            tensor = effective_weight(tensor, up, down)
        full[name] = tensor
    return full


def check_update(module: str, weight: tuple[int, ...], up: tuple[int, ...], down: tuple[int, ...]) -> None:
    """Refuse an update that is no offset of a weight.

    Raises:
        ValueError: with the three shapes.
    """
    axes = min(len(weight), len(up), len(down))
    if axes < 2 or (up[0], prod(up[1:]), prod(down[1:])) != (weight[0], down[0], prod(weight[1:])):
        raise ValueError(
            f"this Control-LoRA does not fit the base: {module} has up {up} and down {down}, the base's weight is {weight}; "
            "use a base of the family it was made for"
        )


def decompose(full: Mapping[str, Tensor], unet: Mapping[str, Tensor], rank: int) -> Decomposition:
    """The nearest Control-LoRA of a full ControlNet: each weight's offset from the base, cut to its largest singular values.

    By Eckart and Young no other matrix of that rank is nearer. Biases and norms are kept whole, equal to the base's or not.

    Args:
        full: the ControlNet, in our names.
        unet: its base, in our names.
        rank: of the updates, at most; a layer's own rank where that is less.

    Raises:
        ValueError: for a rank below 1, or a base of another shape.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}; expected 1 or more, usually 16 to 128")
    own: dict[str, Tensor] = {}
    lost = whole = 0.0
    for name, tensor in full.items():
        if name.startswith(NEW_MODULE_PREFIX):
            own[name] = tensor
            continue
        before = unet.get(name)
        if before is None or before.shape != tensor.shape:
            found = "nothing" if before is None else str(tuple(before.shape))
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, the base has {found} there: give the ControlNet's own base"
            )
        if tensor.ndim == 1:
            own[name] = tensor
            continue
        if torch.equal(before.to(tensor.dtype), tensor):
            continue
        offset = tensor.double().flatten(1) - before.double().flatten(1)
        up, down = nearest(offset, rank)
        lost += float((offset - up @ down).square().sum())
        whole += float(offset.square().sum())
        module = name.rpartition(".")[0]
        own[f"{module}.up"] = up.to(tensor.dtype).reshape(*up.shape, *[1] * (tensor.ndim - 2))
        own[f"{module}.down"] = down.to(tensor.dtype).reshape(-1, *tensor.shape[1:])
    return Decomposition(own, rank, (lost / whole) ** 0.5 if whole else 0.0)


def nearest(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """`up` (o, r) and `down` (r, i), of equal size, whose product is the nearest to `matrix` (o, i)."""
    if len(matrix) > matrix.shape[1]:
        down, up = nearest(matrix.T, rank)
        return up.T, down.T
    _, vectors = torch.linalg.eigh(matrix @ matrix.T)  # of the smaller side: far cheaper than the singular values
    up = vectors[:, -min(rank, len(matrix)) :].flip(1)
    down = up.T @ matrix
    balance = down.norm(dim=1).clamp_min(1e-30).sqrt()
    return up * balance, down / balance[:, None]


def modules(table: Table) -> dict[str, str]:
    """Names of modules, ours to theirs."""
    return {entry.ours[0].rpartition(".")[0]: entry.theirs.rpartition(".")[0] for entry in table.entries}
