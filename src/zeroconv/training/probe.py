"""The fidelity probe: while training, make a few held-out pictures and measure how well they obey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.data import Pair, conditions_of
from zeroconv.generation import Control, ControlPipeline
from zeroconv.images import normalize, to_images, to_tensor
from zeroconv.sheets import contact_sheet

__all__ = ["Probe", "ProbeResult"]

SHEET_PICTURES = 8
"""The newest sheet shows this many of the probe's pictures."""


@dataclass(frozen=True)
class ProbeResult:
    """One probe.

    Attributes:
        fidelity: mean over the probe's pictures, in [0, 1], higher obeys better.
        images: the pictures.
    """

    fidelity: float
    images: list[Image.Image]


class Probe:
    """Held-out pairs, their maps, and the two marks any fidelity lies between.

    Args:
        pipeline: the base.
        condition: name of the condition.
        pairs: held-out pairs.
        steps: denoising steps per picture.
        guidance_scale: guidance per picture.
        maps: of the pairs; their own, or extracted with the condition's defaults, if left out.
        judge: who reads maps back, as in `evaluation.evaluate`.
    """

    def __init__(
        self,
        pipeline: ControlPipeline,
        condition: str,
        pairs: Sequence[Pair],
        steps: int,
        guidance_scale: float,
        maps: Sequence[Image.Image] | None = None,
        judge: Mapping[str, Any] | None = None,
    ) -> None:
        self.pipeline, self.condition, self.pairs = pipeline, condition, pairs
        self.fidelity = partial(conditions.get(condition).fidelity, **(judge or {}))
        self.steps, self.guidance_scale = steps, guidance_scale
        self.maps = conditions_of(pairs, condition, [{}] * len(pairs)) if maps is None else list(maps)

    def mean_fidelity(self, images: Sequence[Image.Image]) -> float:
        """Mean fidelity of pictures to the probe's maps."""
        scores = [self.fidelity(image, condition) for image, condition in zip(images, self.maps, strict=True)]
        return sum(scores) / len(scores)

    def ceiling(self) -> float:
        """Fidelity of the autoencoder's reconstruction of the truth: no picture of this base can be expected to do better."""
        base = self.pipeline.base
        reconstructed: list[Image.Image] = []
        for pair in self.pairs:
            latents = base.encode_images(normalize(to_tensor(pair.image)[None]))
            reconstructed += to_images(base.decode(latents))
        return self.mean_fidelity(reconstructed)

    def run(self, network: ControlNet | None) -> ProbeResult:
        """Make the pictures, with the ControlNet or without any control, always from the same noise."""
        controls = [] if network is None else [Control(network, self.maps)]
        output = self.pipeline(
            [pair.caption for pair in self.pairs],
            controls,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance_scale,
            seed=list(range(len(self.pairs))),
            size=self.pairs[0].image.size,
            batch_size=8,
        )
        return ProbeResult(self.mean_fidelity(output.images), output.images)

    def sheet(self, uncontrolled: Sequence[Image.Image], controlled: Sequence[Image.Image], title: str) -> Image.Image:
        """Truth, map, without control and with it, one column per held-out pair."""
        count = min(SHEET_PICTURES, len(self.pairs))
        rows = [
            [pair.image for pair in self.pairs[:count]],
            self.maps[:count],
            list(uncontrolled[:count]),
            list(controlled[:count]),
        ]
        return contact_sheet(rows, row_titles=["truth", self.condition, "without", "with"], title=title, cell=128)
