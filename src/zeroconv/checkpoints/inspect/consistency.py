"""Whether the shapes in a file go with one another: what opening would stumble over, told without a network."""

from collections.abc import Iterator, Mapping
from math import prod

from zeroconv.checkpoints.architecture.published import PUBLISHED
from zeroconv.checkpoints.formats.control_lora import MARKER, NEW_MODULE_PREFIX, PARTS, modules
from zeroconv.checkpoints.keys.controlnet import controlnet_table

__all__ = ["broken_control_lora", "broken_layer"]

Shapes = Mapping[str, tuple[int, ...]]


def broken_layer(shapes: Shapes) -> str | None:
    """The first layer that is empty, or whose weight and bias do not go together, as a sentence; None when there is none.

    Args:
        shapes: of the tensors of a network, in any names.
    """
    for name, shape in shapes.items():
        layer, _, part = name.rpartition(".")
        weight = shapes.get(f"{layer}.weight")
        if part == "weight" and not prod(shape):
            return f"its tensor {name!r} is empty {shape}"
        if part == "bias" and weight and shape != weight[:1]:
            return f"its tensor {name!r} has shape {shape} beside a weight {weight}; expected {weight[:1]}"
    return None


def broken_control_lora(shapes: Shapes) -> str | None:
    """What no Control-LoRA has, or what one lacks that no base gives it, as a sentence; None when there is nothing.

    Args:
        shapes: of its tensors.
    """
    return next((found for found in (*wrong_names(shapes), broken_layer(shapes), *wrong_pairs(shapes)) if found), None)


def wrong_names(shapes: Shapes) -> Iterator[str]:
    """Tensors of no module of a published ControlNet, and layers that are a ControlNet's alone and are not there."""
    known = set[str]()
    for published in PUBLISHED.values():
        known |= set(modules(controlnet_table(published)).values())
    for name in shapes:
        module, _, part = name.rpartition(".")
        if name != MARKER and not (module in known and part in PARTS):
            yield f"its tensor {name!r} is none of a Control-LoRA"
    sdxl = any(name.startswith("label_emb.") for name in shapes)
    for ours, theirs in modules(controlnet_table(PUBLISHED["sdxl" if sdxl else "sd15"])).items():
        for name in (f"{theirs}.weight", f"{theirs}.bias"):
            if ours.startswith(NEW_MODULE_PREFIX) and name not in shapes:
                yield f"its tensor {name!r} is missing, which no base has"


def wrong_pairs(shapes: Shapes) -> Iterator[str]:
    """Updates without one of their two factors, and factors that cannot be multiplied."""
    for name, shape in shapes.items():
        module, _, part = name.rpartition(".")
        other = shapes.get(f"{module}.{'down' if part == 'up' else 'up'}") if part in ("up", "down") else ()
        if other is None:
            yield f"its tensor {name!r} is without the other factor of the update"
        elif part == "up" and (len(shape) < 2 or len(other) < 2 or prod(shape[1:]) != other[0]):
            yield f"its tensor {name!r} has shape {shape} and the other factor {other}, which cannot be multiplied"
