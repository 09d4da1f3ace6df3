"""Condition fidelity (section 4.3 asks it of segmentation; here of any condition): does the picture obey its map?

For every held-out pair three pictures are judged against the same map: one made with the control, one made without it
from the same seed and prompt, and the autoencoder's reconstruction of the true picture, which no picture of this base
can be expected to beat.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from PIL import Image

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.data import Pair, Pairs, conditions_of
from zeroconv.evaluation.report import Example, FidelityReport, Row
from zeroconv.evaluation.samples import fitted, reconstruct
from zeroconv.generation import Control, ControlPipeline

__all__ = ["evaluate"]

EXAMPLES = 8
"""As many pairs are kept with their pictures, for the sheet."""


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
    extract = network.config.extract
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
