"""Condition fidelity (section 4.3 asks it of segmentation; here of any condition): does the picture obey its map?

For every held-out pair three pictures are judged against the same map: one made with the control, one made without it
from the same seed and prompt, and the autoencoder's reconstruction of the true picture, which no picture of this base
can be expected to beat.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PIL import Image

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.data import Pairs
from zeroconv.diffusion import canonical_sampler
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.evaluation.report import Example, FidelityReport, Row
from zeroconv.evaluation.samples import HeldOut
from zeroconv.generation import ControlPipeline

__all__ = ["Score", "evaluate", "measure"]

Score = Callable[[Image.Image, Image.Image], Mapping[str, float]]
"""All that is measured of a picture and its map, by name, the fidelity first."""

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
    control_guidance_scale: float | None = None,
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
        control_guidance_scale: γ of guidance on the control, see `ControlGuidanceDenoiser`; none if left out.
        scale: strength of the control.
        weighting: of the connections.
        sampler: one of `zeroconv.diffusion.SAMPLERS`.
        seed: of the first pair.
        batch_size: pairs computed together.
        judge: who reads the maps back, such as `{"method": "depth-anything"}`; as the ControlNet's were extracted in
            training, if left out.
        on_progress: called with (pairs done, pairs in all).

    Raises:
        InputError: for no pairs, a judge with an unknown parameter, a map that is none, or maps that all ask for nothing.
        ValueError: for a ControlNet made for another base.
    """
    known = conditions.get(condition)
    extract = network.config.extract
    parameters = conditions.reextract_parameters(known.name, judge, extract)
    if len(pairs) == 0:
        raise InputError("there are no pairs to evaluate on; expected 1 or more", field="data")
    if batch_size < 1:
        raise InputError(f"batch size is {batch_size}; expected 1 or more", field="batch_size")
    network.check_base(pipeline.base.unet)
    request: dict[str, Any] = {
        "num_inference_steps": num_inference_steps,
        "guidance_scale": guidance_scale,
        "weighting": weighting,
        "sampler": canonical_sampler(sampler),
    }
    if control_guidance_scale is not None:
        request["control_guidance_scale"] = control_guidance_scale
    rows, examples = list[Row](), list[Example]()
    for first in range(0, len(pairs), batch_size):
        last = min(first + batch_size, len(pairs))
        batch = HeldOut.of(pairs, range(first, last), pipeline.base.size, known.name, extract, seed)
        batch = batch.select([i for i, image in enumerate(batch.maps) if known.nothing_asked(image) is None])
        if batch.pairs:
            measured = measure(batch, pipeline, network, partial(known.metrics, **parameters), scale, request)
            rows += [row for row, _ in measured]
            examples += [example for _, example in measured[: EXAMPLES - len(examples)]]
        if on_progress is not None:
            on_progress(last, len(pairs))
    if not rows:
        raise InputError(f"all {len(pairs)} {known.name} maps ask for nothing: there is nothing to obey", field="data")
    settings = {
        **request, "scale": scale, "seed": seed, "base": pipeline.base.name, "control": network.name, "judge": parameters,
    }  # fmt: skip
    return FidelityReport(known.name, known.metric, settings, rows, len(pairs) - len(rows), examples)


def measure(
    batch: HeldOut, pipeline: ControlPipeline, network: ControlNet, score: Score, scale: float, request: Mapping[str, Any]
) -> list[tuple[Row, Example]]:
    """Make and measure one batch: with the control, without it, and through the autoencoder."""
    shared: dict[str, Any] = {**request, "batch_size": len(batch.pairs)}
    controlled = batch.generate(pipeline, network, scale, **shared)
    shared.pop("control_guidance_scale", None)
    uncontrolled = batch.generate(pipeline, **shared)
    ceiling = batch.reconstruct(pipeline.base)
    measured: list[tuple[Row, Example]] = []
    for i, (pair, image) in enumerate(zip(batch.pairs, batch.maps, strict=True)):
        try:
            first, *others = [score(made, image) for made in (controlled[i], uncontrolled[i], ceiling[i])]
        except NothingAskedError:  # found while reading it: hands without a body, a hole that is all
            continue
        except InputError as error:
            raise InputError(f"the map of {pair.name}: {error}", field="data") from error
        measures = {name: (value, others[0][name], others[1][name]) for name, value in first.items()}
        row = Row(pair.name, pair.caption, batch.seeds[i], *next(iter(measures.values())), measures)
        measured.append((row, Example(pair.image, image, uncontrolled[i], controlled[i])))
    return measured
