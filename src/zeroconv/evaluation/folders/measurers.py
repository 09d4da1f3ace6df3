"""Numbers about whole sets of pictures, as rows of a report: what of their prompts is there, scores, distances."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zeroconv.errors import InputError
from zeroconv.evaluation.folders.folder_report import SetMeasure
from zeroconv.evaluation.folders.measuring import Measurer
from zeroconv.evaluation.folders.picture_folder import PictureFolder
from zeroconv.evaluation.prompt_check import check_prompts
from zeroconv.evaluation.prompt_findings import PromptCheck, share_found, share_in_colour
from zeroconv.messages import Message, tell
from zeroconv.metrics.bootstrap import Interval

if TYPE_CHECKING:
    from zeroconv.evaluation.features.clip import AestheticHead
    from zeroconv.evaluation.features.extractor import FeatureExtractor, Rows
    from zeroconv.evaluation.features.procedure import Measurement

__all__ = ["feature_measurer", "measure_prompts", "open_extractor", "open_measurers", "prompts_of"]

AT_ONCE = 32  # pictures that are open together
FEWEST = 3  # pictures of which a kernel distance has an interval
INCEPTION = "inception"
DISTANCES = {
    INCEPTION: {"FID": "frechet", "KID": "kid", "sliced Wasserstein": "sliced-wasserstein"},
    "clip": {"CMMD": "cmmd", "Fréchet distance": "frechet"},
}
"""The distances that are customary on each kind of features, by the names they have there."""


def prompts_of(pictures: PictureFolder) -> list[str] | None:
    """The prompt of each picture; None when one is not known."""
    prompts = [entry.prompt for entry in pictures.entries.values() if entry.prompt is not None]
    return prompts if len(prompts) == len(pictures.files) else None


def measure_prompts(pictures: PictureFolder, reference: PictureFolder | None = None) -> list[SetMeasure]:
    """Of the things of the tiny world that prompts name, the share that is in the pictures, and in the colour that was said.

    Nothing is measured where a prompt is not known. `zeroconv.evaluation.check_prompts` says what is looked for.
    """
    del reference
    prompts = prompts_of(pictures)
    if prompts is None:
        return []
    checks: list[PromptCheck] = []
    for stems in groups(pictures.stems):
        first = len(checks)
        opened = [pictures.open_picture(stem) for stem in stems]
        checks += check_prompts(prompts[first : first + len(opened)], opened)
    shares = {"named things found": share_found(checks), "in the right colour": share_in_colour(checks)}
    procedure: dict[str, object] = {"metric": "prompt check", "counts": {"found": len(checks)}}
    return [row_of(name, share, procedure=procedure) for name, share in shares.items() if share is not None]


def open_extractor(text: str, device: str = "cpu") -> "FeatureExtractor":
    """The features that somebody names.

    Args:
        text: "inception:FILE" with FID's weights, or a CLIP: "tiny-clip", a folder or "owner/name".
        device: such as "cpu" or "cuda".

    Raises:
        FileNotFoundError: when the weights are not there.
        ValueError: when they are another network's.
    """
    from zeroconv.evaluation.features.clip import open_clip
    from zeroconv.evaluation.features.inception import open_inception

    kind, _, weights = text.partition(":")
    if kind == INCEPTION:
        return open_inception(weights or None, device=device)
    return open_clip(text, device)


def open_measurers(
    features: Sequence[str], aesthetic: str | None = None, of_tiny_world: bool = False, device: str = "cpu"
) -> list[Measurer]:
    """What somebody wants measured of whole sets.

    Args:
        features: as `open_extractor` takes them.
        aesthetic: a linear head, as `features.clip.open_aesthetic_head` takes it, for the CLIP among the features.
        of_tiny_world: whether the pictures are of the tiny world, so that its prompt check can read them; so are those that
            shall be measured on "tiny-clip".
        device: such as "cpu" or "cuda".

    Raises:
        InputError: for a head without a CLIP.
        FileNotFoundError: when weights are not there.
        ValueError: when they are another network's.
    """
    from zeroconv.evaluation.features.clip import TINY_CLIP, ClipExtractor, open_aesthetic_head

    found: list[Measurer] = [measure_prompts] if of_tiny_world or TINY_CLIP in features else []
    extractors = [open_extractor(text, device) for text in features]
    if aesthetic is not None and not any(isinstance(one, ClipExtractor) for one in extractors):
        hint = "name the CLIP it was trained on with --features"
        raise InputError("an aesthetic head reads a CLIP's embeddings; got no CLIP", field="aesthetic", hint=hint)
    for extractor in extractors:
        reads = aesthetic is not None and isinstance(extractor, ClipExtractor)
        found.append(feature_measurer(extractor, open_aesthetic_head(aesthetic) if reads and aesthetic else None))
    return found


def feature_measurer(extractor: "FeatureExtractor", head: "AestheticHead | None" = None) -> Measurer:
    """Everything that is customary to measure on some features.

    Of Inception's: FID, KID and sliced Wasserstein distance to the reference. Of a CLIP's: CMMD and Fréchet distance to it,
    the CLIP score of pictures and prompts, the diversity of prompts that have several pictures, and the aesthetic score.

    Args:
        extractor: of the features.
        head: for the aesthetic score, on the embeddings of the CLIP it was trained with.
    """
    from zeroconv.evaluation.features import measures
    from zeroconv.evaluation.features.clip import ClipExtractor

    clip = extractor if isinstance(extractor, ClipExtractor) else None
    known: dict[tuple[str, ...], Rows] = {}

    def features(folder: PictureFolder) -> "Rows":
        key = tuple(str(path) for path in folder.files.values())
        if key not in known:
            parts = ([folder.open_picture(stem) for stem in stems] for stems in groups(folder.stems))
            known[key] = np.concatenate([extractor.extract(images) for images in parts])
        return known[key]

    def measure(pictures: PictureFolder, reference: PictureFolder | None) -> list[SetMeasure]:
        found, rows = features(pictures), list[SetMeasure]()
        prompts = prompts_of(pictures)
        if clip is not None and prompts is not None:
            rows.append(row_of_measurement("CLIP score", measures.measure_clip_score(found, clip.extract_texts(prompts), clip)))
            if len(set(prompts)) < len(prompts):
                rows.append(row_of_measurement("diversity", measures.measure_diversity(found, prompts, clip)))
        if clip is not None and head is not None:
            rows.append(row_of_measurement("aesthetic score", measures.measure_aesthetic_score(found, head, clip)))
        if reference is None or min(len(pictures.files), len(reference.files)) < FEWEST:
            return rows
        warn_of_twins(pictures, reference)
        for name, metric in DISTANCES[INCEPTION if clip is None else "clip"].items():
            measured = measures.measure_distance(metric, found, features(reference), extractor)
            rows.append(row_of_measurement(name, measured, lower=True))
        return rows

    return measure


def warn_of_twins(pictures: PictureFolder, reference: PictureFolder) -> None:
    """Say so when the reference pictures are those that the maps or prompts came from."""
    if set(pictures.stems) & set(reference.stems):
        said = (
            f"the pictures of {reference.path} are of the same maps or prompts as those that are measured, so that every "
            "distance to them is too small, by about one over their number: give other real pictures as --reference"
        )
        tell(Message(said, "evaluate.twins"))


def groups(stems: Sequence[str]) -> Iterator[Sequence[str]]:
    """A few pictures at a time."""
    return (stems[first : first + AT_ONCE] for first in range(0, len(stems), AT_ONCE))


def row_of_measurement(name: str, measured: "Measurement", lower: bool = False) -> SetMeasure:
    """A measurement as a row."""
    procedure = measured.procedure.to_dict()
    if isinstance(measured.value, Interval):
        return row_of(name, measured.value, lower, procedure)
    return SetMeasure(name, measured.value, better="lower" if lower else "higher", procedure=procedure)


def row_of(name: str, interval: Interval, lower: bool = False, procedure: Mapping[str, object] | None = None) -> SetMeasure:
    """An interval as a row."""
    better = "lower" if lower else "higher"
    return SetMeasure(name, interval.value, interval.low, interval.high, better, procedure or {})
