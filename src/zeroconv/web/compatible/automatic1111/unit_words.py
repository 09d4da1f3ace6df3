"""Words of the ControlNet extension for how a unit acts, and what they are here.

| "control_mode" | here |
|---|---|
| Balanced | `uniform`: both sides of guidance, full weights |
| ControlNet is more important | `decay`: the conditional side alone, weights 0.825 ** (n - 1 - i), as the extension does it |
| My prompt is more important | `uniform` with the weights 0.825 ** (n - 1 - i) as `layers`, as the extension does it |

Source: `soft_injection` and `cfg_injection` in `scripts/hook.py` of Mikubill/sd-webui-controlnet.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from zeroconv.checkpoints.formats.controlnet_union import UNION_CONDITIONS
from zeroconv.control.weighting import DECAY, Weighting
from zeroconv.errors import InputError
from zeroconv.generation.request import ResizeMode
from zeroconv.web.compatible.automatic1111.bodies import UnitBody

__all__ = [
    "PROMPT",
    "UNION_TYPES",
    "control_mode",
    "decaying",
    "resize_mode",
    "their_names",
    "union_control_type",
    "unit_field",
    "weighting",
]

RESIZE_MODES: dict[str, ResizeMode] = {
    "just resize": "stretch", "0": "stretch", "crop and resize": "crop", "1": "crop", "resize and fill": "fill", "2": "fill",
    "scale to fit (inner fit)": "crop", "inner fit (scale to fit)": "crop", "envelope (outer fit)": "fill",
    "outer fit (shrink to fit)": "fill",
}  # fmt: skip
PROMPT, CONTROL = "my prompt is more important", "controlnet is more important"
CONTROL_MODES = {"balanced": "", "0": "", PROMPT: PROMPT, "1": PROMPT, CONTROL: CONTROL, "2": CONTROL}
UNIT_NAMES = {
    "scale": "weight", "start": "guidance_start", "end": "guidance_end", "network": "model", "condition": "image",
    "mask": "effective_region_mask", "extract": "module",
}  # fmt: skip
UNION_TYPES = ("OpenPose", "Depth", "Soft Edge", "Hard Edge", "Normal Map", "Segmentation", "Tile", "Inpaint")
"""The control types of a ControlNet-Union by the extension's names, in the order of `UNION_CONDITIONS`."""


@contextmanager
def their_names() -> Generator[None]:
    """Errors about a field of a control are about the one of a unit.

    Raises:
        InputError: in place of one.
    """
    try:
        yield
    except InputError as error:
        raise InputError(str(error), field=unit_field(error.field or "")) from error


def unit_field(field: str) -> str:
    """A field of a control by its name in a unit."""
    first, dot, rest = field.partition(".")
    return f"{UNIT_NAMES.get(first, first)}{dot}{rest}"


def resize_mode(unit: UnitBody) -> ResizeMode:
    """How a unit's picture is fitted.

    Raises:
        InputError: for an unknown word.
    """
    found = RESIZE_MODES.get(str(unit.resize_mode).lower())
    if found is None:
        said = f"resize_mode is {unit.resize_mode!r:.40}; expected Just Resize, Crop and Resize or Resize and Fill"
        raise InputError(said, field="resize_mode")
    return found


def control_mode(unit: UnitBody) -> str:
    """What is more important.

    Raises:
        InputError: for an unknown word.
    """
    found = CONTROL_MODES.get(str(unit.control_mode).lower())
    if found is None:
        said = f"control_mode is {unit.control_mode!r:.40}; expected Balanced, My prompt is more important or "
        raise InputError(f"{said}ControlNet is more important", field="control_mode")
    return found


def weighting(units: Mapping[str, UnitBody]) -> Weighting:
    """The weighting of all units: one acts on the conditional side alone if all do.

    Raises:
        InputError: some do.
    """
    modes = [control_mode(unit) for unit in units.values()]
    if CONTROL not in modes:
        return "uniform"
    if set(modes) != {CONTROL}:
        raise InputError(
            "control_mode is 'ControlNet is more important' for some units alone; expected it for all or none",
            field=f"{next(iter(units))}.control_mode",
        )
    return "decay"


def union_control_type(unit: UnitBody) -> tuple[str, ...]:
    """The conditions of the control type that a unit names, in any capitals and spaces; none if it names none.

    Raises:
        InputError: for an unknown word.
    """
    word = (unit.union_control_type or "Unknown").lower().replace(" ", "").replace("_", "")
    known = {name.lower().replace(" ", ""): kinds for name, kinds in zip(UNION_TYPES, UNION_CONDITIONS, strict=True)}
    if word != "unknown" and word not in known:
        said = f"union_control_type is {unit.union_control_type!r:.40}; expected Unknown or one of {', '.join(UNION_TYPES)}"
        raise InputError(said, field="union_control_type")
    return known.get(word, ())


def decaying(connections: int) -> tuple[float, ...]:
    """The weights 0.825 ** (n - 1 - i) of n connections, shallow to deep."""
    return tuple(DECAY ** (connections - 1 - index) for index in range(connections))
