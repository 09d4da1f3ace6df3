"""Merging a LoRA into the base's own weights: W becomes W + weight · Δ, for LoRA Δ = alpha / r · up · down."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from zeroconv.checkpoints.formats.lora import Lora, read_lora
from zeroconv.checkpoints.formats.lora_update import WeightUpdate
from zeroconv.checkpoints.keys.lora import Part, Shapes
from zeroconv.stable_diffusion.textual_inversion import add_vectors, check_embedding

__all__ = ["LoraReport", "add_lora"]

TITLES: dict[Part, str] = {"unet": "the U-Net", "text_encoder": "the text encoder", "text_encoder_2": "the second text encoder"}


@dataclass(frozen=True)
class LoraReport:
    """What a LoRA changed.

    Attributes:
        path: of the file.
        kind: "LoRA", "LoHa", "LoKr", "DoRA", or several of them.
        layout: whose names it uses, such as "kohya".
        weight: what it was multiplied with.
        modules: part of the base -> number of modules changed.
        ranks: the ranks in it, ascending.
        change: part of the base -> ‖Δ‖ / ‖W‖ over those modules.
        words: the textual-inversion embeddings that came with it.
    """

    path: Path
    kind: str
    layout: str
    weight: float
    modules: dict[Part, int]
    ranks: tuple[int, ...]
    change: dict[Part, float]
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        ranks = "" if not self.ranks else f" of rank {self.ranks[0]}" + (f" to {self.ranks[-1]}" if len(self.ranks) > 1 else "")
        parts = (f"{count} modules of {TITLES[part]} by {self.change[part]:.2%}" for part, count in self.modules.items())
        words = f"; in prompts {', '.join(map(repr, self.words))} is its embedding" if self.words else ""
        changed = f"changed {' and '.join(parts)}{words}"
        return f"{self.path.name}: {self.kind}{ranks} ({self.layout}) at weight {self.weight:g}, {changed}"


def add_lora(base: Any, path: str | Path, weight: float = 1.0) -> LoraReport:
    """Add a LoRA, LoHa, LoKr or DoRA to a base for good.

    Several add up, and the same one with `-weight` takes it out, up to rounding; but what a DoRA adds depends on the weights
    that are there. At another weight than 1 a DoRA goes that share of the way from W to its W'.

    Everything is checked before the first weight changes. Sums are made in float32 and kept in the weights' type. Each
    changed parameter gets new memory, so that weights that are mapped from a file are not written to. The base's
    `revision` is raised.

    Args:
        base: with `unet`, and, where it has them, `text_encoder` and `text_encoder_2`.
        path: a `.safetensors` file in the layout of kohya, LyCORIS, PEFT or diffusers, a folder that one of them wrote, or
            "tiny-few-steps", which comes with the package.
        weight: strength; 0 changes nothing, 1 is what was trained.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when `weight` is not finite, or the file is broken, holds no LoRA or one for another base.
    """
    if not math.isfinite(weight):
        raise ValueError(f"the weight of a LoRA is {weight}; expected a finite number, such as 1.0")
    networks: dict[Part, Any] = {part: getattr(base, part, None) for part in get_args(Part)}
    networks = {part: network for part, network in networks.items() if network is not None}
    shapes: dict[Part, Shapes] = {
        part: {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} for part, network in networks.items()
    }
    lora = read_lora(path, shapes)
    change: dict[Part, float] = {part: relative_change(networks[part], lora, part, weight, path) for part in lora.updates}
    new = {word: found for word, found in lora.embeddings.items() if check_embedding(base, found, word, str(path))}
    base.revision = getattr(base, "revision", 0) + 1
    if weight:
        for part in lora.updates:
            for parameter, update in updated_parameters(networks[part], lora, part):
                merged = parameter.detach().float() + weight * update.delta(parameter)
                parameter.data = merged.to(parameter.dtype)
    for word, found in new.items():
        add_vectors(base, found, word)
    updates = [update for modules in lora.updates.values() for update in modules.values()]
    modules: dict[Part, int] = {part: len(found) for part, found in lora.updates.items()}
    ranks = tuple(sorted({update.rank for update in updates if update.rank is not None}))
    kind = " and ".join(sorted({update.kind for update in updates}))
    return LoraReport(Path(path), kind, lora.layout, weight, modules, ranks, change, tuple(lora.embeddings))


def updated_parameters(network: Any, lora: Lora, part: Part) -> Iterator[tuple[torch.nn.Parameter, WeightUpdate]]:
    """The weights of a network that a LoRA changes, each with its update."""
    for module, update in lora.updates[part].items():
        yield network.get_parameter(f"{module}.weight"), update


def relative_change(network: Any, lora: Lora, part: Part, weight: float, path: str | Path) -> float:
    """‖Δ‖ / ‖W‖ of what a LoRA is going to change.

    Raises:
        ValueError: when a changed weight could leave the range of its type.
    """
    before = after = 0.0
    for (parameter, update), module in zip(updated_parameters(network, lora, part), lora.updates[part], strict=True):
        size, delta = norm(parameter), abs(weight) * update.size(parameter)
        # No number of W + Δ is larger than ‖W‖ + ‖Δ‖; real networks stay far below the largest float16.
        if not size + delta <= torch.finfo(parameter.dtype).max:
            raise ValueError(
                f"{path}: with weight {weight:g}, {module!r} of {TITLES[part]} would leave the range of {parameter.dtype} "
                f"(‖W‖ = {size:.3g}, ‖Δ‖ = {delta:.3g}); expected a smaller weight, or a LoRA that is not broken"
            )
        before, after = math.hypot(before, size), math.hypot(after, delta)
    return after / before if before else math.inf


def norm(weights: Tensor) -> float:
    """The square root of the sum of squares, with no overflow in half precision."""
    return float(torch.linalg.vector_norm(weights.detach(), dtype=torch.float32))
