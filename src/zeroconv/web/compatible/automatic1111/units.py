"""Units of the ControlNet extension as controls."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image
from pydantic import ValidationError

from zeroconv import conditions
from zeroconv.control.weighting import Weighting
from zeroconv.data_uri import encode_png, is_data_uri
from zeroconv.errors import InputError, under_field
from zeroconv.generation.request import ControlRequest, ResizeMode
from zeroconv.service import Service
from zeroconv.service.catalogue import BaseEntry, ControlEntry
from zeroconv.service.pictures import PICTURE
from zeroconv.service.requests import store_picture
from zeroconv.web.api.decoding import in_turn
from zeroconv.web.api.waiting import client_of, wait_for
from zeroconv.web.compatible.automatic1111.bodies import UnitBody
from zeroconv.web.compatible.automatic1111.inpainting import Region
from zeroconv.web.compatible.automatic1111.modules import Module, find_module
from zeroconv.web.compatible.automatic1111.pictures import fit_picture, open_mask_text, picture_size, read_picture
from zeroconv.web.compatible.automatic1111.refusals import IDLE_UNIT, check_idle
from zeroconv.web.compatible.automatic1111.unit_words import (
    PROMPT,
    control_mode,
    decaying,
    resize_mode,
    their_names,
    union_control_type,
    weighting,
)

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["ARGUMENTS", "Scene", "Units", "make_controls", "read_units"]

ARGUMENTS = "alwayson_scripts.controlnet.args"
"""Where the units stand in a request."""
NAMES = ("controlnet",)
OFF = ("none", "")


@dataclass(frozen=True)
class Scene:
    """What the units of a request are for.

    Attributes:
        base: that makes the pictures.
        size: of the pictures.
        init: of image-to-image, the picture of that size, for units that bring none.
        hole: of inpainting, white where it is painted anew.
        region: the part of a picture that is made, if it is a part: units bring pictures of the whole.
    """

    base: BaseEntry
    size: tuple[int, int]
    init: str | None = None
    hole: Image.Image | None = None
    region: Region | None = None


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
            module = find_module(unit.module or "", "module")
            network = find_network(unit, module, networks, scene.base.name)
            picture = await read_source(unit, module, network, scene, service, http)
            layers = decaying(scene.base.connections) if control_mode(unit) == PROMPT else None
            region = unit.effective_region_mask and read_picture(unit.effective_region_mask, "effective_region_mask")
            with their_names():
                control = ControlRequest(
                    network=network.name, scale=unit.weight, start=unit.guidance_start, end=unit.guidance_end,
                    mask=region or None, layers=layers, **picture,
                )  # fmt: skip
            controls.append(control)
            sent = {"image": control.image or control.condition, "effective_region_mask": region}
            if await in_turn(http, have_other_sizes, sent, scene.size):
                modes.add(resize_mode(unit))
    if len(modes) > 1:
        said = f"units fit their pictures in several ways ({', '.join(sorted(modes))}); expected one, or pictures of the size"
        raise InputError(said, field=f"{next(iter(units))}.resize_mode")
    shown = tuple(unit.save_detected_map for unit in units.values())
    return Units(tuple(controls), tuple(units), shown, weighting(units), next(iter(modes), None))


async def read_source(
    unit: UnitBody, module: Module, network: ControlEntry, scene: Scene, service: Service, http: "Request"
) -> dict[str, Any]:
    """`image` and `extract`, or `condition`, of a control."""
    from fastapi.concurrency import run_in_threadpool

    image, mask = await in_turn(http, read_image, unit, scene)
    if module.condition is None:
        return {"condition": image}
    if conditions.get(module.condition).needs_mask:
        return {"condition": await in_turn(http, cut_hole, image, mask, scene, resize_mode(unit))}
    seen = None if unit.pixel_perfect or unit.processor_res <= 0 else unit.processor_res
    parameters = module.extraction(scene.base.name, (unit.threshold_a, unit.threshold_b), seen)
    if module.condition == network.condition:
        return {"image": image, "extract": parameters}
    stored = (await run_in_threadpool(store_picture, image, "image", service.pictures)).removeprefix(PICTURE)
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
    uri, region = read_picture(image, "image"), scene.region
    if region is None:
        return uri, mask or None
    whole = fit_picture(uri, region.picture.size, resize_mode(unit), "image")
    return encode_png(whole.crop(region.box)), None


def have_other_sizes(sent: Mapping[str, str | None], size: tuple[int, int]) -> bool:
    """Whether a picture of a unit, by its field, has another size than the pictures that are made."""
    return any(is_data_uri(uri) and picture_size(uri, name) != size for name, uri in sent.items())


def cut_hole(image: str, mask: str | None, scene: Scene, mode: ResizeMode) -> str:
    """The map of inpainting: the picture, transparent where it is painted anew.

    Raises:
        InputError: nothing says where.
    """
    hole = scene.hole if not mask else open_mask_text(read_picture(mask, "mask"), scene.size, mode, "mask")
    if hole is None:
        raise InputError("mask is missing: it says where the picture is painted anew", field="mask")
    return encode_png(conditions.extract("inpaint", fit_picture(image, scene.size, mode, "image"), mask=hole))


def find_network(unit: UnitBody, module: Module, networks: Mapping[str, ControlEntry], base: str) -> ControlEntry:
    """A ControlNet by the name that a client has from the list, perhaps with a hash behind it.

    A ControlNet-Union may be named without its condition: the unit's control type says which it is, or else its module.

    Args:
        unit: that names it.
        module: of the unit.
        networks: that fit the base, by name.
        base: its name.

    Raises:
        InputError: there is none of that name, or it does not follow what the unit says.
    """
    name, wanted = re.sub(r" \[[0-9a-f]+\]$", "", unit.model or ""), union_control_type(unit)
    found = [networks[name]] if name in networks else [one for key, one in networks.items() if key.startswith(f"{name}#")]
    if name.lower() in OFF or not found:
        listed = ", ".join(networks) or f"nothing, as no ControlNet fits {base}"
        raise InputError(f"model is {unit.model!r:.60}; expected one of {listed}", field="model")
    follows = ", ".join(filter(None, (one.condition for one in found)))
    if wanted:
        found = [one for one in found if one.condition is None or one.condition in wanted]
        if not found:
            said = f"union_control_type is {unit.union_control_type!r:.40}, and model {unit.model!r:.200} follows {follows}"
            raise InputError(f"{said}; expected a control type that it follows, or Unknown", field="union_control_type")
    meant = [one for one in found if one.condition == module.condition] or found
    if len(meant) > 1 and not wanted:
        said = f"model {unit.model!r:.200} follows {follows}: nothing says which"
        raise InputError(f"{said}; expected union_control_type, or a name of model_list", field="model")
    return meant[0]
