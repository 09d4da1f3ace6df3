"""A job as its worker does it: pictures one by one, each with its map extracted again, measured and laid over it."""

import base64
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from zeroconv import conditions
from zeroconv.conditions.condition import Condition
from zeroconv.control import ControlNet
from zeroconv.data_uri import PNG_URI
from zeroconv.diffusion import Denoiser
from zeroconv.errors import InputError
from zeroconv.generation import Control, GenerationRequest, Output, generate
from zeroconv.generation.png_metadata import write_pictures
from zeroconv.messages import listen
from zeroconv.service.models import ModelCache, WarmBase
from zeroconv.service.pictures import PICTURE, PictureStore
from zeroconv.service.previews import PreviewRate, WatchedDenoiser, clean_latents, interruptible
from zeroconv.service.requests import map_pictures, store_picture
from zeroconv.service.trained import TrainedControls
from zeroconv.sheets import overlay
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["Maker", "embed_pictures"]

Say = Callable[[str, dict[str, Any]], None]


@dataclass
class Maker:
    """Makes the pictures of jobs.

    Attributes:
        models: that stay open.
        store: where pictures come from and go to.
        say: told what happens, as an event's name and its data.
        check: called after each step; whatever it raises ends the job.
        trained: the networks of the service's trainings; None where there are none.
        finished: pictures of the job that are done, where it is begun once more after memory ran out.
    """

    models: ModelCache
    store: PictureStore
    say: Say
    check: Callable[[], None]
    trained: TrainedControls | None = None
    finished: int = 0

    def make(self, request: GenerationRequest) -> None:
        """Make all pictures of a request; each is the same as if it were made alone.

        Raises:
            InputError: something in the request cannot be used.
            FloatingPointError: the numbers ran out of range.
        """
        networks = [control.network for control in request.controls]
        warm = self.models.get(request.base.name, networks)
        if self.trained is not None:
            self.trained.open(request.base.name, networks, self.models)
        opened = embed_pictures(request, self.store)
        with listen(lambda message: self.say("message", message.to_json())):
            for index in range(self.finished, request.num_images):
                self.check()
                one = opened.model_copy(update={"seed": request.seed + index, "num_images": 1})
                self.say("result", self.make_one(one, warm, index, request.num_images))
                self.finished = index + 1
        self.models.make_room({(request.base.name, None), *((request.base.name, network) for network in networks)})

    def make_one(self, request: GenerationRequest, warm: WarmBase, index: int, count: int) -> dict[str, Any]:
        """One picture, and what is known of it."""
        rate, watched = PreviewRate(), list[WatchedDenoiser]()

        def watch(denoiser: Denoiser) -> Denoiser:
            watched[:] = [WatchedDenoiser(interruptible(denoiser, self.check))]
            return watched[0]

        def on_step(step: int, steps: int) -> None:
            self.check()
            done = index * steps + step
            self.say("step", {"step": done, "steps": count * steps})
            if step < steps and rate.is_due() and (last := watched[0].last) is not None:
                image = rate.make(lambda: draw(warm, last))
                self.say("preview", {"step": done, "picture": index, "image": image})

        warm.pipeline.watch = watch
        output, controls = generate(request, warm.pipeline, on_step=on_step, opened=warm.opened)
        base = warm.pipeline.base
        picture = self.store.adopt(self.write(output, controls, base))
        made = map_pictures(output.requests[0], lambda uri, field: store_picture(uri, field, self.store))
        image = output.images[0]
        return {
            "picture": picture,
            "seed": made.seed,
            "width": image.width,
            "height": image.height,
            "controls": [row for control in controls for row in self.judge(image, control)],
            "request": made.model_copy(update={"base": request.base}).model_dump(mode="json", exclude_defaults=True),
        }

    def write(self, output: Output, controls: list[Control], base: StableDiffusion) -> Path:
        """The picture with its metadata, as a file that the store takes."""
        part = self.store.incoming / f"{time.monotonic_ns()}.png"
        write_pictures(output, controls, [part], base)
        return part

    def judge(self, image: Image.Image, control: Control) -> list[dict[str, Any]]:
        """How well a picture obeys a control, for each of its conditions."""
        network, name = control.network, control.network.config.condition
        known, given = conditions.find(name), control.condition_map(0)
        if known is None:
            stored = self.store.add_image(given).id
            return [row(network, name, stored)]
        rows: list[dict[str, Any]] = []
        for part, one in known.split(given):
            parameters = known.of_part(part, conditions.reextract_parameters(known.name, None, network.config.extract))
            found = row(network, part.name, self.store.add_image(one).id)
            found["measure"] = part.metric
            found["adherence"] = adherence(part, image, one, parameters)
            if not part.needs_mask:
                shown = conditions.extract(part.name, image, **known.of_part(part, network.config.extract))
                found["overlay"] = self.store.add_image(overlay(image, shown)).id
            rows.append(found)
        return rows


def row(network: ControlNet, condition: str | None, picture: str) -> dict[str, Any]:
    """What is said of a control in a result, as far as no measure is needed."""
    named = {"network": network.name, "condition": condition, "map": picture}
    return {**named, "overlay": None, "measure": None, "adherence": None}


def adherence(part: Condition, image: Image.Image, given: Image.Image, parameters: dict[str, Any]) -> float | None:
    """The condition's own measure in [0, 1]; None for a map that asks for nothing, or is none."""
    try:
        found = float(part.fidelity(image, given, **parameters))
    except InputError:
        return None
    return found if math.isfinite(found) else None


def draw(warm: WarmBase, last: tuple[Any, Any, Any]) -> str:
    """The preview of the last prediction's first picture."""
    z_t, t, prediction = last
    return warm.colours.preview(clean_latents(z_t[0], t, prediction[0], warm.pipeline.base.scheduler_config))


def embed_pictures(request: GenerationRequest, store: PictureStore) -> GenerationRequest:
    """The same request with its pictures inside, so that nothing that opens it sees a path."""

    def embed(picture: str, field: str) -> str:
        if not picture.startswith(PICTURE):
            return picture
        return PNG_URI + base64.b64encode(store.read(picture.removeprefix(PICTURE))).decode("ascii")

    return map_pictures(request, embed)
