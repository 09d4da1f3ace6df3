"""Held-out scenes with the maps of a condition, pictures of them, and how well those follow the maps."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from zeroconv import ControlNet, ControlPipeline, conditions
from zeroconv.data import WorldPairs, get_maps
from zeroconv.errors import NothingAskedError
from zeroconv.evaluation.samples import reconstruct
from zeroconv.generation import Control
from zeroconv.images import write_png
from zeroconv.world import HELD_OUT_SEED

__all__ = ["SHOWN", "Maps", "draw", "load_scenes", "open_tiny", "read_maps", "true_pictures"]

SHOWN = 3
"""Pictures of so many scenes are kept for the sheet."""
BATCH = 8


@dataclass(frozen=True)
class Maps:
    """The maps of a condition, its ControlNet, and its measure.

    Attributes:
        network: the embedded ControlNet.
        images: a map of each scene.
    """

    network: ControlNet
    images: Sequence[Image.Image]

    def control(self, scale: float = 1.0) -> Control:
        """The control by these maps."""
        return Control(self.network, self.images, scale=scale, checked=self.images)

    def shift(self) -> "Maps":
        """To each scene the map of the next one."""
        return Maps(self.network, [*self.images[1:], self.images[0]])

    def fidelity(self, pictures: Sequence[Image.Image]) -> list[float | None]:
        """The condition's own measure of each picture; None where the map asks for nothing."""
        known = conditions.get(str(self.network.config.condition))
        parameters = conditions.reextract_parameters(known.name, None, self.network.config.extract)
        score, found = partial(known.metrics, **parameters), list[float | None]()
        for picture, image in zip(pictures, self.images, strict=True):
            try:
                found.append(score(picture, image)[known.metric])
            except NothingAskedError:
                found.append(None)
        return found


def open_tiny() -> ControlPipeline:
    """The tiny base, run by plans in one thread."""
    from zeroconv import StableDiffusion

    torch.set_num_threads(1)
    return ControlPipeline(StableDiffusion.from_pretrained("tiny")).optimize(runtime="plan")


def load_scenes(count: int, condition: str, kind: str | None = None, first: int = HELD_OUT_SEED) -> WorldPairs:
    """Scenes with the exact maps of a condition; unless `first` says others, no training of the tiny base saw them."""
    return WorldPairs(count, first, condition, kind=kind)


def read_maps(pipeline: ControlPipeline, scenes: WorldPairs, condition: str, network: ControlNet | None = None) -> Maps:
    """The maps of scenes: exact where the renderer knows them, else extracted from the true pictures.

    Args:
        pipeline: the base.
        scenes: of the condition.
        condition: of the maps.
        network: that follows them; the embedded one if left out.
    """
    network = network or ControlNet.from_pretrained(f"tiny-{condition}", unet=pipeline.base.unet)
    pairs = [scenes[i] for i in range(len(scenes))]
    return Maps(network, get_maps(pairs, condition, [network.config.extract] * len(pairs)))


def true_pictures(
    pipeline: ControlPipeline, scenes: WorldPairs, restyle: Callable[[Image.Image], Image.Image] = lambda image: image
) -> list[Image.Image]:
    """The true pictures through the autoencoder: the best that this base can do.

    Args:
        pipeline: the base.
        scenes: whose pictures.
        restyle: what the base was taught to make of them.
    """
    return reconstruct(pipeline.base, [restyle(scenes[i].image) for i in range(len(scenes))])


def draw(
    pipeline: ControlPipeline, prompts: Sequence[str], controls: Sequence[Control], shown: Path, **settings: Any
) -> tuple[list[Image.Image], float]:
    """A picture of each scene, with the scene's number as its seed, and the processor's seconds for one.

    The first few are saved in the folder `shown`.
    """
    started = time.process_time()
    images = pipeline(
        prompts, controls, seed=range(len(prompts)), size=(128, 128), batch_size=BATCH, plain_prompt=True, **settings
    ).images
    seconds = (time.process_time() - started) / len(prompts)
    for index, image in enumerate(images[:SHOWN]):
        write_png(image, shown / f"{index}.png")
    return images, seconds
