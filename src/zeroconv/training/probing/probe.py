"""The fidelity probe: while training, an evaluation on a few held-out pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.data import Pair, get_maps
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.evaluation import HeldOut
from zeroconv.generation import ControlPipeline
from zeroconv.messages import listen
from zeroconv.sheets import contact_sheet

__all__ = ["Probe", "ProbeResult"]

SHEET_PICTURES = 8
"""The newest sheet shows this many of the probe's pictures."""
BATCH = 8  # pictures computed together


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
        reextract: who reads maps back, as in `evaluation.evaluate`.
    """

    def __init__(
        self,
        pipeline: ControlPipeline,
        condition: str,
        pairs: Sequence[Pair],
        steps: int,
        guidance_scale: float,
        maps: Sequence[Image.Image] | None = None,
        reextract: Mapping[str, Any] | None = None,
    ) -> None:
        maps = get_maps(pairs, condition, [{}] * len(pairs)) if maps is None else maps
        self.pipeline, self.condition = pipeline, condition
        self.held_out = HeldOut(pairs, maps, range(len(pairs)))
        self.fidelity = partial(conditions.get(condition).fidelity, **(reextract or {}))
        self.request = {"num_inference_steps": steps, "guidance_scale": guidance_scale, "batch_size": BATCH}

    def mean_fidelity(self, images: Sequence[Image.Image]) -> float:
        """Mean fidelity of pictures to the probe's maps."""
        scores: list[float] = []
        for pair, image, condition in zip(self.held_out.pairs, images, self.held_out.maps, strict=True):
            try:
                scores.append(self.fidelity(image, condition))
            except NothingAskedError:  # a map that asks for nothing says nothing about the control
                continue
            except InputError as error:
                raise InputError(f"the map of {pair.name}: {error}", field="data.source") from error
        if not scores:
            raise InputError(f"all {len(images)} maps of the probe ask for nothing: give others", field="data.source")
        return sum(scores) / len(scores)

    def ceiling(self) -> float:
        """Fidelity of the autoencoder's reconstruction of the truth."""
        return self.mean_fidelity(self.held_out.reconstruct(self.pipeline.base))

    def run(self, network: ControlNet | None) -> ProbeResult:
        """Make the pictures, with the ControlNet or without any control, always from the same noise."""
        with listen(lambda _: None):  # before training a network has no effect, which is no news here
            images = self.held_out.generate(self.pipeline, network, **self.request)
        return ProbeResult(self.mean_fidelity(images), images)

    def two_maps(self) -> Tensor:
        """Two different condition images, (2, 3, H, W) in [0, 1]; twice the same where all are alike."""
        known, maps = conditions.get(self.condition), self.held_out.maps
        first = known.to_tensor(maps[0])
        others = (known.to_tensor(image) for image in maps[1:])
        return torch.stack([first, next((one for one in others if not torch.equal(one, first)), first)])

    def sheet(self, uncontrolled: Sequence[Image.Image], controlled: Sequence[Image.Image], title: str) -> Image.Image:
        """Truth, map, without control and with it, one column per held-out pair."""
        truths = [pair.image for pair in self.held_out.pairs]
        rows = [list(row[:SHEET_PICTURES]) for row in (truths, self.held_out.maps, uncontrolled, controlled)]
        return contact_sheet(rows, row_titles=["truth", self.condition, "without", "with"], title=title, cell=128)
