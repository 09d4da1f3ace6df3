"""Held-out pairs and the three pictures that are made of each: with control, without it, and the best possible."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from zeroconv.conditions import fit_map
from zeroconv.control import ControlNet
from zeroconv.data import Pair, Pairs, get_maps
from zeroconv.generation import Control, ControlPipeline, Output
from zeroconv.generation.autoencoding import decode_images
from zeroconv.generation.broken_networks import name_broken_network
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

    @classmethod
    def of(cls, pairs: Pairs, rows: range, side: int, condition: str, extract: Mapping[str, Any], first_seed: int) -> "HeldOut":
        """Some pairs of a data set, cut to a square; pair i has the seed `first_seed + i`.

        Args:
            pairs: the data set.
            rows: which pairs.
            side: of the pictures in pixels.
            condition: of the maps.
            extract: how the maps of pairs that have none are extracted.
            first_seed: of pair 0.

        Raises:
            InputError: as the pairs, or when one has no map and none can be extracted.
        """
        fitted = [fit_pair(pairs[i], side) for i in rows]
        maps = get_maps(fitted, condition, [extract] * len(fitted))
        return cls(fitted, maps, [first_seed + i for i in rows])

    def generate(
        self, pipeline: ControlPipeline, network: ControlNet | None = None, scale: float = 1.0, **request: Any
    ) -> list[Image.Image]:
        """Make a picture for each pair; arguments as `run`."""
        return self.run(pipeline, network, scale, **request)[0].images

    def run(
        self, pipeline: ControlPipeline, network: ControlNet | None = None, scale: float = 1.0, **request: Any
    ) -> tuple[Output, list[Control]]:
        """Make a picture for each pair, and say with which controls.

        Args:
            pipeline: the base.
            network: the ControlNet; no control if left out.
            scale: strength of the control.
            **request: further arguments of the pipeline.
        """
        controls = [] if network is None else [Control(network, self.maps, scale=scale, checked=self.maps)]
        prompts = [pair.caption for pair in self.pairs]
        # A caption is what somebody wrote about a picture: its parentheses are no weights, here as in training.
        return pipeline(prompts, controls, seed=self.seeds, size=self.size, plain_prompt=True, **request), controls

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
