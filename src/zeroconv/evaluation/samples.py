"""Held-out pairs and the three pictures that are made of each: with control, without it, and the best possible."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from zeroconv.conditions import fit_map
from zeroconv.control import ControlNet
from zeroconv.data import Pair
from zeroconv.generation import Control, ControlPipeline
from zeroconv.generation.broken_networks import decode_images, name_broken_network
from zeroconv.images import fit, normalize, to_tensor
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["HeldOut", "fit_pair", "reconstruct"]


@dataclass(frozen=True)
class HeldOut:
    """Held-out pairs and what their pictures are made from, the same with a control and without.

    Attributes:
        pairs: the pairs, of one size.
        maps: the condition map of each.
        seeds: of the noise of each.
    """

    pairs: Sequence[Pair]
    maps: Sequence[Image.Image]
    seeds: Sequence[int]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures in pixels."""
        return self.pairs[0].image.size

    def select(self, indices: Sequence[int]) -> "HeldOut":
        """Some of them."""
        return HeldOut([self.pairs[i] for i in indices], [self.maps[i] for i in indices], [self.seeds[i] for i in indices])

    def generate(
        self, pipeline: ControlPipeline, network: ControlNet | None = None, scale: float = 1.0, **request: Any
    ) -> list[Image.Image]:
        """Make a picture for each pair.

        Args:
            pipeline: the base.
            network: the ControlNet; no control if left out.
            scale: strength of the control.
            **request: further arguments of the pipeline.
        """
        controls = [] if network is None else [Control(network, self.maps, scale=scale, checked=self.maps)]
        prompts = [pair.caption for pair in self.pairs]
        # A caption is what somebody wrote about a picture: its parentheses are no weights, here as in training.
        return pipeline(prompts, controls, seed=self.seeds, size=self.size, plain_prompt=True, **request).images

    def reconstruct(self, base: StableDiffusion) -> list[Image.Image]:
        """The true pictures through the autoencoder: no picture of this base can be expected to obey better."""
        return reconstruct(base, [pair.image for pair in self.pairs])


def fit_pair(pair: Pair, side: int) -> Pair:
    """A pair cut to a square of `side` pixels; each map as its condition is resized (`Condition.resizing`)."""
    maps = {name: fit_map(image, (side, side), name, "crop") for name, image in pair.maps.items()}
    return replace(pair, image=fit(pair.image, side), maps=maps)


def reconstruct(base: StableDiffusion, images: Sequence[Image.Image]) -> list[Image.Image]:
    """Pictures through the autoencoder and back."""
    made: list[Image.Image] = []
    with name_broken_network(base):
        for image in images:  # one by one: the ceiling does not depend on the batch
            made += decode_images(base, base.encode_images(normalize(to_tensor(image)[None])))
    return made
