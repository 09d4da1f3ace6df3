"""LoRA files: the low-rank updates of a base's weights that they hold, checked one by one, in every layout."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from zeroconv.checkpoints.architecture.families import width_title
from zeroconv.checkpoints.files.safetensors import read_header
from zeroconv.checkpoints.files.wrappers import read_published
from zeroconv.checkpoints.formats.lora_names import check_kinds, group_by_module, text_width, without_bundled
from zeroconv.checkpoints.formats.lora_parts import assemble
from zeroconv.checkpoints.formats.lora_update import WeightUpdate
from zeroconv.checkpoints.formats.textual_inversion import Vectors, bundled_embeddings
from zeroconv.checkpoints.hub.resolve import embedded_names, resolve
from zeroconv.checkpoints.keys.lora import Part, Shapes, layout_of, original_spellings, own_spellings, split
from zeroconv.messages import Message, tell

__all__ = ["Lora", "lora_updates", "read_lora"]

FILES = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
SETTINGS = "lora_adapter_metadata"
ADAPTER_SETTINGS = "adapter_config.json"
PEFT = (".lora_A.weight", ".lora_A.default.weight", ".hada_w1_a", ".lokr_w2", ".lokr_w2_a")
PLAIN = re.compile(r"[\w.]+")


@dataclass(frozen=True)
class Lora:
    """A LoRA file, read for one base.

    Attributes:
        layout: whose names it uses: "kohya", "kohya, original names", "PEFT", "diffusers", …
        updates: part of the base -> name of a module in it -> the update of that module's weight.
        embeddings: the textual-inversion embeddings that are bundled with it, by their words.
    """

    layout: str
    updates: dict[Part, dict[str, WeightUpdate]]
    embeddings: dict[str, Vectors] = field(default_factory=dict[str, Vectors])


def read_lora(path: str | Path, shapes: Mapping[Part, Shapes]) -> Lora:
    """The updates in a LoRA file, or in a folder that diffusers or PEFT wrote one to.

    Args:
        path: a `.safetensors` file, such a folder, or the name of one that comes with the package.
        shapes: see `lora_updates`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is broken, holds no LoRA, or one for another base.
    """
    path = resolve(path, "LoRA") if str(path) in embedded_names("LoRA") else Path(path)
    file = next((path / name for name in FILES if (path / name).is_file()), path)
    if not file.is_file():
        known = ", ".join(embedded_names("LoRA"))
        wanted = (
            f"expected {' or '.join(FILES)} in it"
            if file.is_dir()
            else f"expected a .safetensors file, a folder with one, or {known}"
        )
        raise FileNotFoundError(f"there is no LoRA at {path}: {wanted}")
    tensors, metadata = read_published(file), dict(read_header(file).metadata)
    beside = file.with_name(ADAPTER_SETTINGS)
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
    names, found_shapes = without_bundled(tensors), {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_kinds(found_shapes, what)
    check_text_width(found_shapes, shapes, what)
    own = own_spellings(shapes)
    found = group_by_module(names, original_spellings(shapes["unet"]) | own, what)
    settings = adapter_settings(metadata, what)
    updates: dict[Part, dict[str, WeightUpdate]] = {}
    for (part, module), roles in found.items():
        update = assemble(roles, tensors, shapes[part][f"{module}.weight"], what)
        if update.alpha is None:
            rank = update.rank or rank_of(settings, part, module, what)
            alpha = alpha_of(settings, part, module, rank, what)
            update = update if alpha is None else update.with_alpha(alpha, rank)
        updates.setdefault(part, {})[module] = update
    if not settings and any(name.endswith(PEFT) for name in names) and not any(name.endswith(".alpha") for name in names):
        says = f"{what} says no alpha, nor does {ADAPTER_SETTINGS} beside it"
        tell(Message(f"{says}: alpha = rank is taken, a scale of 1", "file.alpha"))
    spelled = [both for name in names if (both := split(name)) is not None]
    layout = layout_of((ending for _, ending in spelled), any(module not in own for module, _ in spelled))
    return Lora(layout, {part: updates[part] for part in shapes if part in updates}, bundled_embeddings(tensors, what))


def check_text_width(tensors: Shapes, shapes: Mapping[Part, Shapes], what: str) -> None:
    """Compare what the LoRA's cross-attention reads with what the base's reads: the plainest word on another family.

    Raises:
        ValueError: naming both families.
    """
    theirs = text_width(tensors)
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


def alpha_of(settings: Mapping[str, Any], part: Part, module: str, rank: int | None, what: str) -> float | None:
    """The alpha that PEFT's settings give a module of a part; None if they give none.

    Raises:
        ValueError: as `setting_of`.
    """
    alpha = setting_of(settings, part, module, ("lora_alpha", "alpha"), what)
    if alpha is None or rank is None or not own_settings(settings, part).get("use_rslora"):
        return alpha
    return alpha * math.sqrt(rank)  # its scale is alpha / √r


def rank_of(settings: Mapping[str, Any], part: Part, module: str, what: str) -> int | None:
    """The rank that PEFT's settings give a module of a part; None if they give none.

    Raises:
        ValueError: as `setting_of`, and for a rank under 1.
    """
    rank = setting_of(settings, part, module, ("r",), what)
    if rank is not None and rank < 1:
        raise ValueError(f"{what}: r is {rank:g} for {module}; expected 1 or more")
    return None if rank is None else int(rank)


def own_settings(settings: Mapping[str, Any], part: Part) -> Mapping[str, Any]:
    """The settings of one part, where each has its own; else all."""
    return {key.removeprefix(f"{part}."): value for key, value in settings.items() if key.startswith(f"{part}.")} or settings


def setting_of(settings: Mapping[str, Any], part: Part, module: str, names: Sequence[str], what: str) -> float | None:
    """A number that PEFT's settings give a module, by its pattern or for all; None if they give none.

    Args:
        settings: of the adapter.
        part: of the base.
        module: in that part.
        names: of the number; the last one also begins the name of its patterns, as in `alpha_pattern`.
        what: what errors call the file.

    Raises:
        ValueError: when it is no finite number, or stands beside a pattern that is no plain name.
    """
    mine = own_settings(settings, part)
    found, title = next(((mine[name], name) for name in names if mine.get(name) is not None), (None, names[0]))
    pattern_name = {"alpha": "alpha_pattern", "r": "rank_pattern"}[names[-1]]
    patterns = mine.get(pattern_name) or {}
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        if not PLAIN.fullmatch(pattern):
            raise ValueError(f"{what}: its {pattern_name} has {pattern!r}; expected plain names of modules")
        if f".{module}".endswith("." + pattern.removeprefix("text_model.")):
            found = value
    if found is None:
        return None
    if not isinstance(found, int | float) or not math.isfinite(found):
        raise ValueError(f"{what}: {title} is {found!r} for {module}; expected a finite number")
    return float(found)
