"""The fidelity probe: while training, an evaluation on a few held-out pairs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.data import Pair, get_maps
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.evaluation import HeldOut, bootstrap_share
from zeroconv.generation import ControlPipeline
from zeroconv.messages import listen
from zeroconv.metrics.bootstrap import Interval, bootstrap_mean
from zeroconv.sheets import contact_sheet
from zeroconv.training.probing.held_out_loss import HeldOutLoss

__all__ = ["STRENGTH", "Probe", "ProbeResult", "share_interval"]

SHEET_PICTURES = 8
"""The newest sheet shows this many of the probe's pictures."""
BATCH = 32  # pictures computed together at most
PIXELS = 32 * 128**2  # of them together: larger pictures are computed fewer at a time
STRENGTH = 1.0  # of the control


@dataclass(frozen=True)
class ProbeResult:
    """One set of pictures and how well each follows its map.

    Attributes:
        scores: of each picture, in [0, 1], higher obeys better; NaN where the map asks for nothing.
        images: the pictures.
        parts: of several conditions the same for each of them, by its name; `scores` are the means of theirs.
    """

    scores: Sequence[float]
    images: Sequence[Image.Image]
    parts: "Mapping[str, ProbeResult]" = field(default_factory=dict[str, "ProbeResult"])

    @property
    def fidelity(self) -> float:
        """Mean of the scores."""
        return self.interval.value

    @property
    def interval(self) -> Interval:
        """Mean of the scores, with its 95 % interval over the pictures."""
        return bootstrap_mean([score for score in self.scores if not math.isnan(score)])


def share_interval(controlled: ProbeResult, uncontrolled: ProbeResult, ceiling: ProbeResult) -> Interval | None:
    """Share of the gap that the control closes, with its 95 % interval; None when there is no gap."""
    rows = zip(controlled.scores, uncontrolled.scores, ceiling.scores, strict=True)
    first, second, third = zip(*(row for row in rows if not any(map(math.isnan, row))), strict=True)
    return bootstrap_share(first, second, third)


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
        held_out_loss: of a network on these pairs; not taken if left out.
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
        held_out_loss: HeldOutLoss | None = None,
    ) -> None:
        maps = get_maps(pairs, condition, [{}] * len(pairs)) if maps is None else maps
        self.pipeline, self.condition, self.held_out_loss = pipeline, condition, held_out_loss
        self.held_out = HeldOut(pairs, maps, range(len(pairs)))
        self.known = conditions.get(condition)
        self.metrics = partial(self.known.metrics, **(reextract or {}))
        self.without_prompts = replace(self.held_out, pairs=[replace(pair, caption="") for pair in pairs])
        width, height = self.held_out.size
        self.request: dict[str, Any] = {
            "num_inference_steps": steps,
            "guidance_scale": guidance_scale,
            "batch_size": max(min(BATCH, PIXELS // (width * height)), 1),
        }

    def score(self, images: Sequence[Image.Image]) -> ProbeResult:
        """How well pictures follow the probe's maps.

        Raises:
            InputError: when a map is none, or all of them ask for nothing.
        """
        measures = [self.known.metric, *(f"{part.name}: {part.metric}" for part in self.known.parts)]
        rows: list[list[float]] = []
        for pair, image, condition in zip(self.held_out.pairs, images, self.held_out.maps, strict=True):
            try:
                found = self.metrics(image, condition)
                rows.append([found[measure] for measure in measures])
            except NothingAskedError:  # a map that asks for nothing says nothing about the control
                rows.append([math.nan] * len(measures))
            except InputError as error:
                raise InputError(f"the map of {pair.name}: {error}", field="data.source") from error
        scores, *of_parts = [list(column) for column in zip(*rows, strict=True)]
        if all(map(math.isnan, scores)):
            raise InputError(f"all {len(images)} maps of the probe ask for nothing: give others", field="data.source")
        parts = {part.name: ProbeResult(column, images) for part, column in zip(self.known.parts, of_parts, strict=True)}
        return ProbeResult(scores, images, parts)

    def ceiling(self) -> ProbeResult:
        """The autoencoder's reconstruction of the truth."""
        return self.score(self.held_out.reconstruct(self.pipeline.base))

    def run(self, network: ControlNet | None, prompts: bool = True) -> ProbeResult:
        """Make the pictures, always from the same noise.

        Args:
            network: the ControlNet; no control if None.
            prompts: whether the pairs' captions are given. Without them guidance has nothing to steer towards: the pictures
                would be the same with any, and are made with none, in half the time.
        """
        pairs, request = (
            (self.held_out, self.request) if prompts else (self.without_prompts, {**self.request, "guidance_scale": 1.0})
        )
        with listen(lambda _: None):  # before training a network has no effect, which is no news here
            return self.score(pairs.generate(self.pipeline, network, STRENGTH, **request))

    def two_maps(self) -> Tensor:
        """Two different condition images, (2, 3, H, W) in [0, 1], or (2, 3 n, H, W); twice the same where all are alike."""
        known, maps = self.known, self.held_out.maps
        first = known.to_tensor(maps[0])
        others = (known.to_tensor(image) for image in maps[1:])
        return torch.stack([first, next((one for one in others if not torch.equal(one, first)), first)])

    def sheet(self, rows: Mapping[str, ProbeResult], title: str) -> Image.Image:
        """Truth and maps, then each of `rows` under its name, one column per held-out pair.

        Args:
            rows: pictures by the name of their row.
            title: of the sheet.
        """
        named: dict[str, Sequence[Image.Image]] = {"truth": [pair.image for pair in self.held_out.pairs]}
        split = [self.known.split(image) for image in self.held_out.maps]
        for place, part in enumerate(self.known.each):
            named[part.name] = [maps[place][1] for maps in split]
        named |= {name: result.images for name, result in rows.items()}
        pictures = [list(row[:SHEET_PICTURES]) for row in named.values()]
        return contact_sheet(pictures, row_titles=list(named), title=title, cell=128)
