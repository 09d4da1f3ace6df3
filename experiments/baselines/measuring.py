"""The numbers of a folder of pictures, all by the functions behind `zeroconv evaluate FOLDER --maps MAPS`."""

from pathlib import Path
from typing import Any

from experiments.baselines.pictures import maps_folder

from zeroconv.evaluation.folders import SetMeasure, feature_measurer, judge_folder, measure_prompts, open_extractor
from zeroconv.evaluation.folders.measuring import Measurer
from zeroconv.evaluation.folders.picture_folder import PictureFolder
from zeroconv.messages import Message, listen

__all__ = ["OF_PROMPTS", "measure"]

FEATURES = "tiny-clip"
OF_PROMPTS = ("CLIP score", "named things found", "in the right colour")
"""What means nothing without a prompt."""
DIGITS = 4


def kernel_distance(pictures: PictureFolder, reference: PictureFolder | None) -> list[SetMeasure]:
    """KID on the tiny features, which the library measures on Inception's alone by itself."""
    from zeroconv.evaluation.features.measures import measure_distance

    assert reference is not None, "judge_folder is given one"
    extractor = open_extractor(FEATURES)
    found, wanted = (extractor.extract([one.open_picture(stem) for stem in one.stems]) for one in (pictures, reference))
    measured = measure_distance("kid", found, wanted, extractor).value
    bounds = (None, None) if isinstance(measured, float) else (measured.low, measured.high)
    return [SetMeasure("KID", float(getattr(measured, "value", measured)), *bounds, better="lower")]


def measure(folder: Path, reference: Path, condition: str, with_prompt: bool) -> dict[str, Any]:
    """What is known of a folder of pictures of held-out cases.

    Args:
        folder: lies beside `maps`.
        reference: other scenes.
        condition: whose maps the method was given, by which it is judged beside the segmentation that counts for all.
        with_prompt: whether the prompts said anything.

    Returns:
        "iou" of each case by stem (re-extracted by the tiny annotator); "own", the same in the measure of another condition;
        "sets", numbers of the whole folder, each [value, low, high]; "notes", what a reader must know of them.
    """
    notes: list[Message] = []
    with listen(notes.append):
        found = measure_folder(folder, reference, condition, with_prompt)
    return found | {"notes": sorted({note.text for note in notes})}


def measure_folder(folder: Path, reference: Path, condition: str, with_prompt: bool) -> dict[str, Any]:
    """The same without notes."""
    measurers: list[Measurer] = [feature_measurer(open_extractor(FEATURES)), kernel_distance]
    judged = {"maps": maps_folder(folder.parent, "segmentation"), "judge": {"method": "tiny"}}
    report = judge_folder(
        folder, condition="segmentation", **judged, measurers=[*measurers, *([measure_prompts] if with_prompt else [])],
        reference=reference,
    )  # fmt: skip
    found: dict[str, Any] = {"iou": {row.stem: round(row.scores["pictures"][report.measure], DIGITS) for row in report.rows}}
    if condition != "segmentation":
        own = judge_folder(folder, maps=maps_folder(folder.parent, condition), condition=condition)
        found |= {"own measure": own.measure, "own": [round(value, DIGITS) for value in own.values("pictures")]}
    kept = [one for one in report.set_measures if with_prompt or one.name not in OF_PROMPTS]
    return found | {"sets": {one.name: [one.value, one.low, one.high] for one in kept}}
