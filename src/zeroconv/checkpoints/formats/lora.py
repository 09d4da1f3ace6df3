"""LoRA files: the low-rank updates of a base's weights that they hold, checked one by one, in every layout."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from zeroconv.checkpoints.architecture.families import width_title
from zeroconv.checkpoints.files.safetensors import read_header, read_safetensors
from zeroconv.checkpoints.formats.identify import identify
from zeroconv.checkpoints.formats.lora_update import LowRankUpdate, assemble
from zeroconv.checkpoints.keys.lora import (
    ENDINGS,
    Part,
    Place,
    Role,
    Shapes,
    kind_of,
    layout_of,
    original_spellings,
    own_spellings,
    split,
)

__all__ = ["Lora", "lora_updates", "read_lora"]

FILES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
SETTINGS = "lora_adapter_metadata"
SUPPORTED = "supported is LoRA of linear maps and convolutions, in the layouts of kohya, PEFT and diffusers"
PLAIN = re.compile(r"[\w.]+")


@dataclass(frozen=True)
class Lora:
    """A LoRA file, read for one base.

    Attributes:
        layout: whose names it uses: "kohya", "kohya, original names", "PEFT", "diffusers", …
        updates: part of the base -> name of a module in it -> the update of that module's weight.
    """

    layout: str
    updates: dict[Part, dict[str, LowRankUpdate]]


def read_lora(path: str | Path, shapes: Mapping[Part, Shapes]) -> Lora:
    """The updates in a LoRA file, or in a folder that diffusers or PEFT wrote one to.

    Args:
        path: a `.safetensors` file or such a folder.
        shapes: see `lora_updates`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is broken, holds no LoRA, or one for another base.
    """
    path = Path(path)
    file = next((path / name for name in FILES if (path / name).is_file()), path)
    if not file.is_file():
        wanted = (
            f"expected {' or '.join(FILES)} in it" if file.is_dir() else "expected a .safetensors file, or a folder with one"
        )
        raise FileNotFoundError(f"there is no LoRA at {path}: {wanted}")
    tensors, metadata = read_safetensors(file), dict(read_header(file).metadata)
    beside = file.with_name("adapter_config.json")
    if file.name == FILES[1] and beside.is_file():  # PEFT keeps alpha in a file of its own
        metadata[SETTINGS] = beside.read_text("utf-8", errors="replace")
    return lora_updates(tensors, metadata, shapes, str(file))


def lora_updates(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], shapes: Mapping[Part, Shapes], what: str = "the file"
) -> Lora:
    """The updates in the tensors of a LoRA file, each checked against the weight it is for.

    Args:
        tensors: the file's.
        metadata: the strings in its header; `lora_adapter_metadata` may hold alphas.
        shapes: of all tensors of the base's networks under their own names: "unet", and the text encoders there are.
        what: what errors call the file.

    Raises:
        ValueError: when it holds no LoRA, one of another kind, or one that does not fit this base in every tensor.
    """
    spelled = {name: both for name in tensors if (both := split(name)) is not None}
    check_kind(tensors, {ENDINGS[ending][0] for _, ending in spelled.values()}, what)
    check_text_width({name: tensors[name] for name, (_, end) in spelled.items() if ENDINGS[end][0] == "down"}, shapes, what)
    own, original = own_spellings(shapes), original_spellings(shapes["unet"])
    known = original | own
    unknown = [name for name in tensors if name not in spelled or spelled[name][0] not in known]
    if unknown:
        raise ValueError(
            f"{what}: {len(unknown)} of its {len(tensors)} tensors fit no module of this base, the first is {unknown[0]!r}; "
            "expected a LoRA made for a base of this family"
        )
    found = group_by_module({name: (known[module], ENDINGS[ending][0]) for name, (module, ending) in spelled.items()}, what)
    settings = adapter_settings(metadata, what)
    updates: dict[Part, dict[str, LowRankUpdate]] = {}
    for (part, module), roles in found.items():
        update = assemble(roles, tensors, shapes[part][f"{module}.weight"], what)
        if update.alpha is None:
            update = replace(update, alpha=alpha_of(settings, part, module, update.rank, what))
        updates.setdefault(part, {})[module] = update
    layout = layout_of((end for _, end in spelled.values()), any(module not in own for module, _ in spelled.values()))
    return Lora(layout, {part: updates[part] for part in shapes if part in updates})


def group_by_module(named: Mapping[str, tuple[Place, Role]], what: str) -> dict[Place, dict[Role, str]]:
    """The names of the tensors of each module, by what they are.

    Raises:
        ValueError: when two of them are the same thing.
    """
    found: dict[Place, dict[Role, str]] = defaultdict(dict)
    for name, (place, role) in named.items():
        if role in found[place]:
            raise ValueError(f"{what} has both {found[place][role]!r} and {name!r} for one module; expected one of them")
        found[place][role] = name
    return found


def check_kind(tensors: Mapping[str, Tensor], roles: set[Role], what: str) -> None:
    """Refuse files that hold something else.

    Raises:
        ValueError: saying what.
    """
    for name in tensors:
        kind = kind_of(name)
        if kind is not None:
            raise ValueError(f"{what} holds {kind}, by its tensor {name!r}; {SUPPORTED}")
    if not roles & {"down", "up"}:
        raise ValueError(f"{what} holds no LoRA tensors: {identify(tensors.keys())}; {SUPPORTED}")


def check_text_width(downs: Mapping[str, Tensor], shapes: Mapping[Part, Shapes], what: str) -> None:
    """Compare what the LoRA's cross-attention reads with what the base's reads: the plainest word on another family.

    Raises:
        ValueError: naming both families.
    """
    crossing = (down for name, down in downs.items() if "attn2" in name and ("to_k" in name or "to_v" in name))
    theirs = next((down.shape[1] for down in crossing if down.ndim > 1), None)
    ours = next((shape[1] for name, shape in shapes["unet"].items() if name.endswith("attn2.to_k.weight")), None)
    if theirs is not None and ours is not None and theirs != ours:
        made, base = width_title(theirs), width_title(ours)
        raise ValueError(f"{what}: this LoRA was made for {made}, the base is {base}; expected a LoRA of the base's family")


def adapter_settings(metadata: Mapping[str, str], what: str) -> dict[str, Any]:
    """PEFT's settings of the adapter, empty if there are none.

    Raises:
        ValueError: when they are not a JSON object.
    """
    try:
        settings = json.loads(metadata.get(SETTINGS, "{}"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{what}: its adapter settings are not valid JSON ({type(error).__name__})") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{what}: its adapter settings are a {type(settings).__name__}; expected a JSON object")
    return settings


def alpha_of(settings: Mapping[str, Any], part: Part, module: str, rank: int, what: str) -> float | None:
    """The alpha that PEFT's settings give a module of a part; None if they give none.

    Raises:
        ValueError: when it is no finite number, or stands beside a pattern that is no plain name.
    """
    mine = {key.removeprefix(f"{part}."): value for key, value in settings.items() if key.startswith(f"{part}.")} or settings
    alpha, patterns = mine.get("lora_alpha"), mine.get("alpha_pattern") or {}
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        if not PLAIN.fullmatch(pattern):
            raise ValueError(f"{what}: its alpha_pattern has {pattern!r}; expected plain names of modules")
        if f".{module}".endswith("." + pattern.removeprefix("text_model.")):
            alpha = value
    if alpha is None:
        return None
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise ValueError(f"{what}: lora_alpha is {alpha!r} for {module}; expected a finite number")
    return alpha * math.sqrt(rank) if mine.get("use_rslora") else float(alpha)  # its scale is alpha / √r
