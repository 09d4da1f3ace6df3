"""The routes of the ControlNet extension: what there is, and maps of pictures."""

import base64
from typing import TYPE_CHECKING, Any

from zeroconv import conditions
from zeroconv.errors import InputError, under_field
from zeroconv.images import open_image
from zeroconv.service import Service
from zeroconv.service.pictures import PICTURE
from zeroconv.service.requests import store_picture
from zeroconv.web.api.decoding import in_turn
from zeroconv.web.api.waiting import client_of, wait_for
from zeroconv.web.compatible.automatic1111.bodies import DetectBody
from zeroconv.web.compatible.automatic1111.modules import CONTROL_TYPES, MODULES, NONE, find_module
from zeroconv.web.compatible.automatic1111.pictures import open_mask_text, picture_size, read_picture

if TYPE_CHECKING:
    from fastapi import APIRouter, Request

__all__ = ["controlnet_router"]

VERSION = 3
"""Of the extension's API whose fields these are."""


def controlnet_router(service: Service, router: "APIRouter") -> "APIRouter":
    """Add the routes to a router.

    Args:
        service: that does what they ask for.
        router: it.
    """
    from fastapi import Request

    @router.get("/version", summary="Of the API")
    async def version() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"version": VERSION}

    @router.get("/model_list", summary="ControlNets")
    async def models() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"model_list": [one.name for one in service.known().controls]}

    @router.get("/module_list", summary="Preprocessors")
    async def modules() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"module_list": list(MODULES), "module_detail": {name: describe_module(name) for name in MODULES}}

    @router.get("/control_types", summary="Preprocessors and ControlNets by what they are about")
    async def control_types() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"control_types": {kind: describe_type(kind, service) for kind in CONTROL_TYPES}}

    @router.get("/settings", summary="Settings")
    async def settings() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"control_net_unit_count": service.settings.limits.controls}

    @router.post("/detect", summary="The maps of pictures")
    async def detect(body: DetectBody, request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        if not body.controlnet_input_images:
            raise InputError("No image selected", field="controlnet_input_images")
        maps = [await detect_one(body, index, service, request) for index in range(len(body.controlnet_input_images))]
        return {"images": maps, "info": "Success"}

    return router


async def detect_one(body: DetectBody, index: int, service: Service, http: "Request") -> str:
    """The map of a picture as base64 text.

    Raises:
        InputError: it cannot be made.
        ServiceError: not now.
    """
    from fastapi.concurrency import run_in_threadpool

    field = f"controlnet_input_images.{index}"
    module = find_module(body.controlnet_module, "controlnet_module")
    uri = read_picture(body.controlnet_input_images[index], field)
    if module.condition is None:
        await in_turn(http, picture_size, uri, field)
        return uri.partition(",")[2]
    if conditions.get(module.condition).needs_mask:
        return await in_turn(http, cut_hole, body, index, uri, field, service)
    base = service.known().bases[0].name
    seen = body.controlnet_processor_res if body.controlnet_processor_res > 0 else None
    parameters = module.extraction(base, (body.controlnet_threshold_a, body.controlnet_threshold_b), seen)
    stored = (await run_in_threadpool(store_picture, uri, field, service.pictures)).removeprefix(PICTURE)
    values: dict[str, Any] = {"condition": module.condition, "image": stored, "parameters": parameters}
    values |= {"width": None, "height": None, "resize": None}
    with under_field("controlnet_module"):
        future = service.read("extract", values, client_of(http))
        found = await wait_for(future, http, service.settings.limits.reading_seconds + 1)
    content = await run_in_threadpool(service.pictures.read_png, found["map"])
    return base64.b64encode(content).decode("ascii")


def cut_hole(body: DetectBody, index: int, uri: str, field: str, service: Service) -> str:
    """The map of inpainting of a picture, as base64 text.

    Raises:
        InputError: it has no mask, or one of them cannot be read.
    """
    if len(body.controlnet_masks) <= index:
        raise InputError(f"{body.controlnet_module} needs controlnet_masks, one for each picture", field="controlnet_masks")
    size, name = picture_size(uri, field), f"controlnet_masks.{index}"
    mask = open_mask_text(read_picture(body.controlnet_masks[index], name), size, "stretch", name)
    stored = service.pictures.add_image(conditions.extract("inpaint", open_image(uri), mask=mask))
    return base64.b64encode(service.pictures.read_png(stored.id)).decode("ascii")


def describe_module(name: str) -> dict[str, Any]:
    """The sliders of a preprocessor, as the extension's page draws them."""
    module = MODULES[name]
    own = [
        {"name": one.parameter, "value": one.default, "min": one.least, "max": one.most, "step": 1.0} for one in module.sliders
    ]
    free = name == NONE
    first = [] if free else [{"name": "Preprocessor Resolution", "value": 512, "min": 64, "max": 2048, "step": 8}]
    return {"model_free": False, "sliders": [*first, *own]}


def describe_type(kind: str, service: Service) -> dict[str, Any]:
    """The preprocessors and ControlNets of a kind."""
    names = [name for name, module in MODULES.items() if kind in ("All", module.control_type) or name == NONE]
    wanted = {MODULES[name].condition for name in names if name != NONE}
    fitting = [one.name for one in service.known().controls if kind == "All" or one.condition in wanted]
    default = NONE if kind == "All" or len(names) < 2 else names[1]
    return {
        "module_list": names,
        "model_list": ["None", *fitting],
        "default_option": default,
        "default_model": fitting[0] if fitting and kind != "All" else "None",
    }
