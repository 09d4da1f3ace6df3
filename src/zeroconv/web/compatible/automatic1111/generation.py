"""`txt2img` and `img2img`: from the body of a request to its pictures and what is said about them."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zeroconv import conditions
from zeroconv.errors import InputError
from zeroconv.generation import BaseRequest, GenerationRequest
from zeroconv.generation.parameters_text import sampler_title
from zeroconv.service import Service
from zeroconv.service.catalogue import BaseEntry, Catalogue
from zeroconv.version import __version__
from zeroconv.web.api.decoding import in_turn
from zeroconv.web.compatible.automatic1111.bodies import ImageToImageBody, TextToImageBody
from zeroconv.web.compatible.automatic1111.clients import Clients
from zeroconv.web.compatible.automatic1111.inpainting import Start, picture_text, read_start
from zeroconv.web.compatible.automatic1111.refusals import (
    HARMLESS,
    HARMLESS_UNIT,
    IDLE_FIELDS,
    IDLE_OPTIONS,
    IDLE_UNIT,
    KNOWN_OPTIONS,
    check_eta,
    check_idle,
    ignored,
)
from zeroconv.web.compatible.automatic1111.samplers import read_sampler
from zeroconv.web.compatible.automatic1111.unit_words import unit_field
from zeroconv.web.compatible.automatic1111.units import ARGUMENTS, Scene, Units, make_controls, read_units
from zeroconv.web.compatible.jobs import Finished, finish, random_seed

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["find_base", "make_pictures"]

THEIR_NAMES = {
    "num_inference_steps": "steps", "guidance_scale": "cfg_scale", "sampler": "sampler_name", "size": "width",
    "strength": "denoising_strength", "num_images": "batch_size", "init_image": "init_images.0", "mask_image": "mask",
    "base": "sd_model_checkpoint",
}  # fmt: skip


@dataclass
class Asked:
    """A request in our words.

    Attributes:
        request: what is asked for.
        units: of the ControlNet extension.
        start: of image-to-image.
        ignored: names that changed nothing.
    """

    request: GenerationRequest
    units: Units = field(default_factory=Units)
    start: Start = field(default_factory=lambda: Start({}))
    ignored: list[str] = field(default_factory=list[str])


async def make_pictures(body: TextToImageBody, service: Service, clients: Clients, http: "Request") -> str:
    """The answer to `txt2img` or `img2img`, as JSON.

    Args:
        body: what was sent.
        service: that makes them.
        clients: whose options count.
        http: of the client.

    Raises:
        InputError: for what cannot be used, or is not here and would change the picture.
        ServiceError: there is no place, it failed, or the service stops.
    """
    client = clients.of(http)
    try:
        asked = await read(body, service, client.base, http)
        with clients.running(client, "img2img" if asked.start.fields else "txt2img") as begun:
            made = await finish(service, asked.request, http, begun)
    except InputError as error:
        raise in_their_words(error, body) from error
    if body.override_settings and not body.override_settings_restore_afterwards:
        client.base = asked.request.base.name
    from fastapi.concurrency import run_in_threadpool

    return await run_in_threadpool(answer, body, asked, made, service)


async def read(body: TextToImageBody, service: Service, chosen: str | None, http: "Request") -> Asked:
    """A request in our words, its maps extracted where they are not the network's own."""
    check_finite(body)
    check_idle(body.model_extra or {}, IDLE_FIELDS)
    options = body.override_settings or {}
    check_idle(options, IDLE_OPTIONS, "override_settings.")
    units = read_units(body.alwayson_scripts)
    base = find_base(options.get("sd_model_checkpoint") or chosen, service.known(), "override_settings.sd_model_checkpoint")
    size = (body.width or base.width, body.height or base.height)
    sampler = read_sampler(body.sampler_name or body.sampler_index or "Euler", body.scheduler)
    check_eta(body.eta, sampler)
    check_side(size, service)
    start = await in_turn(http, read_start, body, size) if isinstance(body, ImageToImageBody) else Start({})
    scene = Scene(base, size, start.fields.get("init_image"), start.hole, start.region)
    made = await make_controls(units, scene, service, http)
    request = GenerationRequest(
        prompt=body.prompt,
        negative_prompt=body.negative_prompt or "",
        base=BaseRequest(name=base.name),
        seed=random_seed() if body.seed is None or body.seed == -1 else body.seed,
        num_images=(body.batch_size or 1) * (body.n_iter or 1),
        num_inference_steps=body.steps or 50,
        guidance_scale=7.0 if body.cfg_scale is None else body.cfg_scale,
        sampler=sampler,
        size=size,
        controls=made.controls,
        weighting=made.weighting,
        resize=made.resize,
        **start.fields,
    )
    left = ignored(body.model_extra, IDLE_FIELDS, HARMLESS) + ignored(options, KNOWN_OPTIONS)
    for place, unit in units.items():
        left += [f"{place}.{name}" for name in ignored(unit.model_extra, IDLE_UNIT, HARMLESS_UNIT)]
    return Asked(request, made, start, left)


def check_finite(body: TextToImageBody) -> None:
    """That what is told back is JSON: Python writes and reads numbers that are none.

    Raises:
        InputError: there is one.
    """
    try:
        json.dumps([body.model_extra, body.override_settings], allow_nan=False)
    except ValueError as error:
        raise InputError("the request has NaN or Infinity, which is no JSON; expected finite numbers") from error


def check_side(size: tuple[int, int], service: Service) -> None:
    """That pictures are no larger than is allowed, before anything is resized to that."""
    most = service.settings.limits.longest_side
    for name, side in zip(("width", "height"), size, strict=True):
        if side > most or side % 8:
            raise InputError(f"{name} is {side}; expected a multiple of 8, {most} at most here", field=name)


def find_base(name: str | None, known: Catalogue, field: str) -> BaseEntry:
    """A base by its name, the first one where none is said.

    Args:
        name: as a client has it from the list.
        known: what there is.
        field: of the request.

    Raises:
        InputError: there is none of that name.
    """
    found = next((one for one in known.bases if name in (None, one.name)), None)
    if found is None:
        listed = ", ".join(one.name for one in known.bases)
        raise InputError(f"{field} is {name!r:.60}; expected one of {listed}", field=field)
    return found


def in_their_words(error: InputError, body: TextToImageBody) -> InputError:
    """An error about one of our fields as one about theirs."""
    name, _, rest = (error.field or "").partition(".")
    places = list(read_units(body.alwayson_scripts)) if name == "controls" else []
    if places:
        index, _, inner = rest.partition(".")
        return InputError(str(error), field=f"{places[int(index)]}.{unit_field(inner)}")
    if name not in THEIR_NAMES or (error.field or "").startswith(ARGUMENTS):
        return error
    return InputError(str(error).replace(name, THEIR_NAMES[name]), field=THEIR_NAMES[name])


def answer(body: TextToImageBody, asked: Asked, made: Finished, service: Service) -> str:
    """The body of the answer: ASCII, as what somebody sent may be no text."""
    texts = [picture_text(f"data:image/png;base64,{text}", "").get("parameters", "") for text in made.encoded()]
    if asked.start.region is not None:
        made = replace(made, pictures=[asked.start.region.lay_over(content) for content in made.pictures])
    maps = Finished("", [], [], detected_maps(asked.units, made, service)).encoded()
    pictures = {"init_images", "mask", "alwayson_scripts"}
    kept = set[str]() if getattr(body, "include_init_images", False) else pictures
    images = [*made.encoded(), *maps] if body.send_images else []
    info = json.dumps(describe(asked, made, texts, body))
    return json.dumps({"images": images, "parameters": body.model_dump(exclude=kept), "info": info})


def detected_maps(units: Units, made: Finished, service: Service) -> list[bytes]:
    """The maps of the first picture, which the extension puts behind the pictures."""
    if not made.results:
        return []
    rows, found = list(made.results[0]["controls"]), list[bytes]()
    networks = {one.name: one.condition for one in service.known().controls}
    for control, is_shown in zip(units.controls, units.shown, strict=True):
        known = conditions.find(networks.get(control.network))
        own, rows = rows[: len(known.each) if known else 1], rows[len(known.each) if known else 1 :]
        found += [service.pictures.read_png(row["map"]) for row in own if is_shown]
    return found


def describe(asked: Asked, made: Finished, texts: list[str], body: TextToImageBody) -> Mapping[str, Any]:
    """What is said about the pictures, for the text `info`."""
    request, seeds = asked.request, [one["seed"] for one in made.results]
    width, height = request.size or (0, 0)
    count = len(made.results)
    return {
        "prompt": request.prompt,
        "all_prompts": [request.prompt] * count,
        "negative_prompt": request.negative_prompt,
        "all_negative_prompts": [request.negative_prompt] * count,
        "seed": request.seed,
        "all_seeds": seeds,
        "subseed": request.seed,
        "all_subseeds": seeds,
        "subseed_strength": 0,
        "width": width,
        "height": height,
        "sampler_name": sampler_title(request.sampler),
        "cfg_scale": request.guidance_scale,
        "steps": request.num_inference_steps,
        "batch_size": body.batch_size or 1,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": request.base.name,
        "sd_model_hash": None,
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": request.strength if request.init_image else None,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": [],
        "job_timestamp": time.strftime("%Y%m%d%H%M%S"),
        "clip_skip": 1,
        "is_using_inpainting_conditioning": False,
        "version": f"zeroconv {__version__}",
        "ignored": asked.ignored,
        "messages": [message["text"] for message in made.messages],
        "controls": [one["controls"] for one in made.results],
    }
