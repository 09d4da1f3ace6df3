"""Condition fidelity (section 4.3 asks it of segmentation; here of any condition): does the picture obey its map?

For every held-out pair three pictures are judged against the same map: one made with the control, one made without it
from the same seed and prompt, and the autoencoder's reconstruction of the true picture, which no picture of this base
can be expected to beat.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from PIL import Image

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.data import Pair, Pairs, conditions_of
from zeroconv.evaluation.interval import Interval, bootstrap_mean, bootstrap_share
from zeroconv.generation import Control, ControlPipeline
from zeroconv.images import fit, to_images, to_signed, to_tensor
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["Example", "FidelityReport", "Row", "evaluate"]

EXAMPLES = 8
"""As many pairs are kept with their pictures, for the sheet."""


@dataclass(frozen=True)
class Row:
    """One held-out pair.

    Attributes:
        name: of the pair.
        prompt: its caption.
        seed: of both pictures.
        controlled: fidelity with the control, higher obeys better.
        uncontrolled: fidelity without it.
        ceiling: fidelity of the autoencoder's reconstruction of the truth.
        measures: all that was measured, by name, of the three pictures in this order; the fidelity is the first.
    """

    name: str
    prompt: str
    seed: int
    controlled: float
    uncontrolled: float
    ceiling: float
    measures: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Example:
    """The pictures behind a row.

    Attributes:
        truth: the true picture.
        condition: its map.
        uncontrolled: made without the control.
        controlled: made with it.
    """

    truth: Image.Image
    condition: Image.Image
    uncontrolled: Image.Image
    controlled: Image.Image


@dataclass(frozen=True)
class FidelityReport:
    """What `evaluate` measured.

    Attributes:
        condition: name of the condition.
        measure: name of its fidelity measure, higher obeys better.
        settings: how the pictures were made.
        rows: one per pair.
        left_out: pairs whose map is black, with nothing on it to obey.
        examples: pictures of the first few pairs.
    """

    condition: str
    measure: str
    settings: dict[str, Any]
    rows: list[Row]
    left_out: int
    examples: list[Example] = field(repr=False)

    @property
    def controlled(self) -> Interval:
        """Mean fidelity with the control."""
        return bootstrap_mean([row.controlled for row in self.rows])

    @property
    def uncontrolled(self) -> Interval:
        """Mean fidelity without it."""
        return bootstrap_mean([row.uncontrolled for row in self.rows])

    @property
    def ceiling(self) -> Interval:
        """Mean fidelity of the reconstructed truth."""
        return bootstrap_mean([row.ceiling for row in self.rows])

    @property
    def others(self) -> dict[str, tuple[Interval, Interval, Interval]]:
        """What is measured beside the fidelity: with the control, without it, and of the reconstructed truth."""

        def of(name: str, column: int) -> Interval:
            return bootstrap_mean([row.measures[name][column] for row in self.rows])

        return {name: (of(name, 0), of(name, 1), of(name, 2)) for name in list(self.rows[0].measures)[1:]}

    @property
    def share(self) -> Interval | None:
        """Share of the gap between uncontrolled and ceiling that the control closes; None when there is no gap."""
        columns = zip(*((row.controlled, row.uncontrolled, row.ceiling) for row in self.rows), strict=True)
        controlled, uncontrolled, ceiling = columns
        return bootstrap_share(controlled, uncontrolled, ceiling)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        share = self.share
        return {
            "condition": self.condition,
            "measure": self.measure,
            "pictures": len(self.rows),
            "left_out": self.left_out,
            "controlled": self.controlled.to_dict(),
            "uncontrolled": self.uncontrolled.to_dict(),
            "ceiling": self.ceiling.to_dict(),
            "share_of_gap_closed": share.to_dict() if share else None,
            "others": {
                name: dict(zip(("controlled", "uncontrolled", "ceiling"), (one.to_dict() for one in three), strict=True))
                for name, three in self.others.items()
            },
            "settings": self.settings,
            "rows": [asdict(row) for row in self.rows],
        }

    def lines(self) -> list[str]:
        """The result for a person."""
        share, others = self.share, self.others.items()
        closed = f"{share.value:.0%} [{share.low:.0%}, {share.high:.0%}]" if share else "none: the ceiling is no higher"
        return [
            f"{self.measure} over {len(self.rows)} pictures, with 95 % intervals",
            f"  with control     {self.controlled}",
            f"  without control  {self.uncontrolled}",
            f"  ceiling          {self.ceiling}  (the autoencoder's reconstruction of the truth)",
            f"  gap closed       {closed}",
            *(f"  {name:15}  {a.value:.3f}, without {b.value:.3f}, ceiling {c.value:.3f}" for name, (a, b, c) in others),
        ]


def evaluate(
    pipeline: ControlPipeline,
    network: ControlNet,
    condition: str,
    pairs: Pairs,
    *,
    num_inference_steps: int = 20,
    guidance_scale: float = 7.5,
    scale: float = 1.0,
    weighting: str = "uniform",
    sampler: str = "dpm++2m",
    seed: int = 0,
    batch_size: int = 8,
    judge: Mapping[str, Any] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> FidelityReport:
    """Measure a ControlNet on held-out pairs.

    Pictures and maps are cut and scaled to the base's own size; pair i is made with `seed + i`, with the control and
    without.

    Args:
        pipeline: the base.
        network: the ControlNet.
        condition: the condition it follows.
        pairs: held-out pairs.
        num_inference_steps: denoising steps.
        guidance_scale: β of classifier-free guidance.
        scale: strength of the control.
        weighting: of the connections.
        sampler: one of `zeroconv.diffusion.SAMPLERS`.
        seed: of the first pair.
        batch_size: pairs computed together.
        judge: who reads the maps back, such as `{"method": "depth-anything"}`; as the ControlNet's were extracted in
            training, if left out.
        on_progress: called with (pairs done, pairs in all).

    Raises:
        ValueError: for no pairs, a judge with an unknown parameter, or a ControlNet made for another base.
    """
    known = conditions.get(condition)
    extract = network.config["_zeroconv"]["extract"]
    told = conditions.judge_of(known.name, judge, extract)
    if len(pairs) == 0:
        raise ValueError("there are no pairs to evaluate on; expected 1 or more")
    if batch_size < 1:
        raise ValueError(f"batch size is {batch_size}; expected 1 or more")
    network.check_base(pipeline.base.unet)
    request: dict[str, Any] = {
        "num_inference_steps": num_inference_steps,
        "guidance_scale": guidance_scale,
        "weighting": weighting,
        "sampler": sampler,
    }
    rows, examples = list[Row](), list[Example]()
    for first in range(0, len(pairs), batch_size):
        seeds = list(range(seed + first, seed + min(first + batch_size, len(pairs))))
        batch = [fitted(pairs[i - seed], pipeline.base.size) for i in seeds]
        maps = conditions_of(batch, known.name, [extract] * len(batch))
        kept = [i for i, image in enumerate(maps) if image.getbbox() is not None]  # a black map asks for nothing
        if kept:
            chosen = [batch[i] for i in kept], [maps[i] for i in kept], [seeds[i] for i in kept]
            made = measure(pipeline, network, scale, partial(known.judge, **told), *chosen, request)
            rows += [row for row, _ in made]
            examples += [example for _, example in made[: EXAMPLES - len(examples)]]
        if on_progress is not None:
            on_progress(min(first + batch_size, len(pairs)), len(pairs))
    if not rows:
        raise ValueError(f"all {len(pairs)} {known.name} maps are black: there is nothing to obey")
    settings = {**request, "scale": scale, "seed": seed, "base": pipeline.base.name, "control": network.name, "judge": told}
    return FidelityReport(known.name, known.measure, settings, rows, len(pairs) - len(rows), examples)


def measure(
    pipeline: ControlPipeline,
    network: ControlNet,
    scale: float,
    judge: Callable[[Image.Image, Image.Image], Mapping[str, float]],
    pairs: Sequence[Pair],
    maps: Sequence[Image.Image],
    seeds: Sequence[int],
    request: dict[str, Any],
) -> list[tuple[Row, Example]]:
    """Make and measure one batch: with the control, without it, and through the autoencoder."""
    side, prompts = pipeline.base.size, [pair.caption for pair in pairs]
    shared: dict[str, Any] = {**request, "seed": seeds, "batch_size": len(pairs), "size": (side, side)}
    controlled = pipeline(prompts, [Control(network, maps, scale=scale)], **shared).images
    uncontrolled = pipeline(prompts, [], **shared).images
    ceiling = reconstruct(pipeline.base, [pair.image for pair in pairs])
    judged: list[tuple[Row, Example]] = []
    for i, (pair, image) in enumerate(zip(pairs, maps, strict=True)):
        first, *others = (judge(made, image) for made in (controlled[i], uncontrolled[i], ceiling[i]))
        measures = {name: (value, others[0][name], others[1][name]) for name, value in first.items()}
        row = Row(pair.name, pair.caption, seeds[i], *next(iter(measures.values())), measures)
        judged.append((row, Example(pair.image, image, uncontrolled[i], controlled[i])))
    return judged


def fitted(pair: Pair, side: int) -> Pair:
    """A pair cut to a square of `side` pixels; maps keep their exact colours."""
    maps = {name: fit(image, side, nearest=True) for name, image in pair.maps.items()}
    return replace(pair, image=fit(pair.image, side), maps=maps)


def reconstruct(base: StableDiffusion, images: Sequence[Image.Image]) -> list[Image.Image]:
    """Pictures through the autoencoder and back."""
    made: list[Image.Image] = []
    for image in images:  # one by one: the ceiling does not depend on the batch
        made += to_images(base.decode(base.encode_images(to_signed(to_tensor(image)[None]))))
    return made
