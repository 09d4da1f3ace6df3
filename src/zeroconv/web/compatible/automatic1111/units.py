"""Units of the ControlNet extension as controls.

| "control_mode" | here |
|---|---|
| Balanced | `uniform`: both sides of guidance, full weights |
| ControlNet is more important | `decay`: the conditional side alone, weights 0.825 ** (n - 1 - i), as the extension does it |
| My prompt is more important | `uniform` with the weights 0.825 ** (n - 1 - i) as `layers`, as the extension does it |

Source: `soft_injection` and `cfg_injection` in `scripts/hook.py` of Mikubill/sd-webui-controlnet.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image
from pydantic import ValidationError

from zeroconv import conditions
from zeroconv.checkpoints.formats.controlnet_hints import split_condition
from zeroconv.checkpoints.formats.controlnet_settings import read_stored_config
from zeroconv.checkpoints.hub.resolve import resolve
from zeroconv.control.weighting import DECAY, Weighting
from zeroconv.data_uri import encode_png, is_data_uri
from zeroconv.errors import InputError, under_field
from zeroconv.generation.request import ControlRequest, ResizeMode
from zeroconv.service import Service
from zeroconv.service.catalogue import BaseEntry, ControlEntry
from zeroconv.service.pictures import PICTURE
from zeroconv.service.requests import store_picture
from zeroconv.web.api.waiting import client_of, wait_for
from zeroconv.web.compatible.automatic1111.bodies import UnitBody
from zeroconv.web.compatible.automatic1111.modules import Module, find_module
from zeroconv.web.compatible.automatic1111.pictures import fit_picture, open_mask_text, picture_size, read_picture
from zeroconv.web.compatible.automatic1111.refusals import IDLE_UNIT, check_idle

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["ARGUMENTS", "Scene", "Units", "make_controls", "read_units", "unit_field"]

ARGUMENTS = "alwayson_scripts.controlnet.args"
"""Where the units stand in a request."""
NAMES = ("controlnet",)
OFF = ("none", "")
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
RELEASED = {"sdxl": 10}
"""Connections of a family's ControlNets; 13 of the others."""


@dataclass(frozen=True)
class Scene:
    """What the units of a request are for.

    Attributes:
        base: that makes the pictures.
        size: of the pictures.
        init: of image-to-image, the picture of that size, for units that bring none.
        hole: of inpainting, white where it is painted anew.
    """

    base: BaseEntry
    size: tuple[int, int]
    init: str | None = None
    hole: Image.Image | None = None


@dataclass(frozen=True)
class Units:
    """The units as parts of a `GenerationRequest`.

    Attributes:
        controls: one for each unit that is enabled.
        places: where each stands in the request.
        shown: for each whether its map is a part of the answer.
        weighting: of all of them.
        resize: how pictures and maps of another size are fitted.
    """

    controls: tuple[ControlRequest, ...] = ()
    places: tuple[str, ...] = ()
    shown: tuple[bool, ...] = ()
    weighting: Weighting = "uniform"
    resize: ResizeMode | None = None


def read_units(scripts: Mapping[str, Any] | None) -> dict[str, UnitBody]:
    """The units that are enabled, by their place in the request.

    Args:
        scripts: `alwayson_scripts` of a request.

    Raises:
        InputError: for another script that is switched on, and for a unit that cannot be read.
    """
    found: dict[str, UnitBody] = {}
    for name, script in (scripts or {}).items():
        arguments: Any = script.get("args", []) if isinstance(script, dict) else script
        field = f"alwayson_scripts.{name[:60]}"
        if name.lower() not in NAMES:
            if is_on(arguments):
                raise InputError(f"{field} is not available here; leave it out", field=field)
            continue
        if not isinstance(arguments, list) or len(arguments) > 16:
            raise InputError(f"{field}.args is no list of at most 16 units", field=f"{field}.args")
        for index, unit in enumerate(arguments):
            place = f"{ARGUMENTS}.{index}"
            try:
                body = UnitBody.model_validate(unit)
            except ValidationError as error:
                first = error.errors()[0]
                inner = ".".join([place, *map(str, first["loc"])])
                raise InputError(f"{inner}: {first['msg']}", field=inner) from error
            if body.enabled:
                check_idle(body.model_extra or {}, IDLE_UNIT, f"{place}.")
                found[place] = body
    return found


def is_on(arguments: Any) -> bool:
    """Whether the arguments of a script that is not here ask for something."""
    listed: list[Any] = arguments if isinstance(arguments, list) else [arguments]
    if not listed or listed[0] is False:
        return False
    if all(isinstance(one, dict) for one in listed):
        return any(one.get("enabled", one.get("enable", one.get("ad_model", "None") != "None")) for one in listed)
    return any(bool(one) for one in listed)


async def make_controls(units: Mapping[str, UnitBody], scene: Scene, service: Service, http: "Request") -> Units:
    """The controls of units; maps of another condition than the network's are extracted on the way.

    Args:
        units: from `read_units`.
        scene: what they are for.
        service: that they are for.
        http: of the client.

    Raises:
        InputError: for one that cannot be used.
        ServiceError: no map can be extracted now.
    """
    networks, modes = service.known().networks_of(scene.base.name), set[ResizeMode]()
    controls: list[ControlRequest] = []
    for place, unit in units.items():
        with under_field(place):
            network = find_network(unit.model, networks, scene.base.name)
            picture = await read_source(unit, find_module(unit.module or "", "module"), network, scene, service, http)
            layers = decaying(network.name, scene.base.family) if control_mode(unit) == PROMPT else None
            region = unit.effective_region_mask and read_picture(unit.effective_region_mask, "effective_region_mask")
            with their_names():
                control = ControlRequest(
                    network=network.name, scale=unit.weight, start=unit.guidance_start, end=unit.guidance_end,
                    mask=region or None, layers=layers, **picture,
                )  # fmt: skip
            controls.append(control)
            sent = {"image": control.image or control.condition, "effective_region_mask": region}
            if any(is_data_uri(uri) and picture_size(uri, name) != scene.size for name, uri in sent.items()):
                modes.add(resize_mode(unit))
    if len(modes) > 1:
        said = f"units fit their pictures in several ways ({', '.join(sorted(modes))}); expected one, or pictures of the size"
        raise InputError(said, field=f"{next(iter(units))}.resize_mode")
    shown = tuple(unit.save_detected_map for unit in units.values())
    return Units(tuple(controls), tuple(units), shown, weighting(units), next(iter(modes), None))


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


async def read_source(
    unit: UnitBody, module: Module, network: ControlEntry, scene: Scene, service: Service, http: "Request"
) -> dict[str, Any]:
    """`image` and `extract`, or `condition`, of a control."""
    image, mask = read_image(unit, scene)
    if module.condition is None:
        return {"condition": image}
    if conditions.get(module.condition).needs_mask:
        return {"condition": cut_hole(image, mask, scene, resize_mode(unit))}
    seen = None if unit.pixel_perfect or unit.processor_res <= 0 else unit.processor_res
    parameters = module.extraction(scene.base.name, (unit.threshold_a, unit.threshold_b), seen)
    if module.condition == network.condition:
        return {"image": image, "extract": parameters}
    stored = store_picture(image, "image", service.pictures).removeprefix(PICTURE)
    width, height = scene.size
    values: dict[str, Any] = {"condition": module.condition, "image": stored, "parameters": parameters}
    values |= {"width": width, "height": height, "resize": resize_mode(unit)}
    seconds = service.settings.limits.reading_seconds + 1
    found = await wait_for(service.read("extract", values, client_of(http)), http, seconds)
    return {"condition": PICTURE + found["map"]}


def read_image(unit: UnitBody, scene: Scene) -> tuple[str, str | None]:
    """The picture of a unit as a `data:` URI, or that of image-to-image; and its mask.

    Raises:
        InputError: there is none.
    """
    image, mask = unit.image, unit.mask
    if isinstance(image, dict):
        image, mask = image.get("image"), image.get("mask") or mask
    if not image and scene.init is not None:
        return scene.init, mask
    if not image:
        raise InputError("image is missing: the unit has no picture", field="image")
    return read_picture(image, "image"), mask or None


def cut_hole(image: str, mask: str | None, scene: Scene, mode: ResizeMode) -> str:
    """The map of inpainting: the picture, transparent where it is painted anew.

    Raises:
        InputError: nothing says where.
    """
    hole = scene.hole if not mask else open_mask_text(read_picture(mask, "mask"), scene.size, mode, "mask")
    if hole is None:
        raise InputError("mask is missing: it says where the picture is painted anew", field="mask")
    return encode_png(conditions.extract("inpaint", fit_picture(image, scene.size, mode, "image"), mask=hole))


def find_network(model: str | None, networks: Mapping[str, ControlEntry], base: str) -> ControlEntry:
    """A ControlNet by the name that a client has from the list, perhaps with a hash behind it.

    Raises:
        InputError: there is none of that name.
    """
    name = re.sub(r" \[[0-9a-f]+\]$", "", model or "")
    if name.lower() in OFF or name not in networks:
        listed = ", ".join(networks) or f"nothing, as no ControlNet fits {base}"
        raise InputError(f"model is {model!r:.60}; expected one of {listed}", field="model")
    return networks[name]


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


@cache
def decaying(network: str, family: str) -> tuple[float, ...]:
    """The weights 0.825 ** (n - 1 - i) of the connections of a network, shallow to deep."""
    stored = read_stored_config(resolve(split_condition(network)[0], "ControlNet"))
    count = RELEASED.get(family, 13)
    if stored is not None:
        blocks: int | Sequence[int] = stored.unet_settings.get("layers_per_block", 2)
        levels = len(stored.unet_settings.get("block_out_channels", (0, 0, 0, 0)))
        count = 1 + levels + (levels * blocks if isinstance(blocks, int) else sum(blocks))
    return tuple(DECAY ** (count - 1 - index) for index in range(count))
