"""Sets of pictures judged against the same maps, whoever made them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from zeroconv import conditions
from zeroconv.conditions import Condition
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.evaluation.folders.folder_report import FolderReport, ScoredRow, SetMeasure
from zeroconv.evaluation.folders.picture_folder import PictureFolder
from zeroconv.evaluation.folders.sizes import Sizes, common_size

__all__ = ["Measurer", "measure_folders", "open_map", "score_pictures"]

Score = Callable[[Image.Image, Image.Image], Mapping[str, float]]
Measurer = Callable[[PictureFolder, PictureFolder | None], Sequence[SetMeasure]]
"""`measurer(pictures, reference)`: numbers about a whole set, such as FID; the reference is None where there is none."""


def measure_folders(
    folders: Mapping[str, PictureFolder],
    maps: Mapping[str, Path],
    condition: Condition,
    *,
    judge: Mapping[str, Any] | None = None,
    truth: str | None = None,
    sizes: Sizes | None = None,
    measurers: Sequence[Measurer] = (),
    reference: PictureFolder | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> FolderReport:
    """Measure how well pictures obey their maps.

    Every set is judged on the same maps; those that ask for nothing are left out of all.

    Args:
        folders: the sets by name, the judged one first; each has a picture for every map.
        maps: the file of each map by stem.
        condition: of the maps, with the measure that counts.
        judge: who reads the maps back, such as `{"method": "depth-anything"}`; the condition's own way if left out.
        truth: the name of the set of true pictures, which may be of any size; the others must be of one.
        sizes: how other sizes are brought together.
        measurers: of whole sets.
        reference: real pictures that measurers compare with; the true ones if left out.
        on_progress: called with (maps done, maps in all).

    Raises:
        InputError: for a judge with an unknown parameter, pictures of mixed sizes, a map that is none, or maps that all ask
            for nothing.
    """
    sizes = sizes or Sizes()
    parameters = conditions.reextract_parameters(condition, judge, {})
    size = sizes.size or common_size({name: folder for name, folder in folders.items() if name != truth})
    score = partial(condition.metrics, **parameters)
    rows, left_out = list[ScoredRow](), dict[str, str]()
    first = next(iter(folders.values()))
    for done, (stem, file) in enumerate(maps.items(), start=1):
        pictures: dict[str, Image.Image] = {}
        for name, folder in folders.items():
            picture = folder.open_picture(stem)
            what = "true pictures" if name == truth else "pictures"
            pictures[name] = sizes.fit_picture(picture, what, size)
        given = open_map(file, condition, size)
        for message in condition.check(given):  # fitting draws lines of its own, whatever they were made of
            if message.code in condition.refuses:
                raise InputError(f"the map {file}: {condition.name}: {message}; {condition.contract}", field="maps")
        image = sizes.fit_map(given, condition, size)
        try:
            scores = score_pictures(pictures, image, condition, score, str(file))
        except NothingAskedError as nothing:
            left_out[stem] = str(nothing)
        else:
            entry = first.entries[stem]
            rows.append(ScoredRow(stem, entry.prompt, entry.seed, scores))
        if on_progress is not None:
            on_progress(done, len(maps))
    if not rows:
        raise InputError(f"all {len(maps)} {condition.name} maps ask for nothing: there is nothing to obey", field="maps")
    stems = [row.stem for row in rows]
    judged = {name: folder.select(stems).with_maps(maps) for name, folder in folders.items()}
    compared = reference or judged.get(truth or "")
    numbers = [
        replace(one, of=name)
        for measurer in measurers
        for name in judged
        if name != truth
        for one in measurer(judged[name], compared)
    ]
    settings = {"judge": parameters, "size": list(size)}
    return FolderReport(condition.name, condition.metric, settings, judged, maps, rows, left_out, sizes.lines(), numbers)


def score_pictures(
    pictures: Mapping[str, Image.Image], image: Image.Image, condition: Condition, score: Score, where: str
) -> dict[str, Mapping[str, float]]:
    """All that is measured of pictures that were made from one map.

    Args:
        pictures: by the name of their set.
        image: the map.
        condition: of the map.
        score: of a picture and the map.
        where: the map's place for messages.

    Raises:
        NothingAskedError: when the map asks for nothing.
        InputError: when it is no map of this condition, or a score is not finite.
    """
    if (nothing := condition.nothing_asked(image)) is not None:
        raise NothingAskedError(nothing.text, field="maps")
    try:
        found = {name: score(picture, image) for name, picture in pictures.items()}
    except NothingAskedError:
        raise
    except InputError as error:
        raise InputError(f"the map {where}: {error}", field="maps") from error
    for name, scores in found.items():
        for measure, value in scores.items():
            if not math.isfinite(value):
                said = f"{measure} of {name} by the map {where} is {value}; expected a finite number"
                raise InputError(said, field="judge", hint="look at the picture and its map, or name another judge")
    return found


def open_map(file: Path, condition: Condition, size: tuple[int, int]) -> Image.Image:
    """A map from a file.

    Args:
        file: of the map.
        condition: of the map.
        size: at which a document, such as one of poses, is drawn.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        return condition.open_map(file, size)
    except (OSError, ValueError) as error:
        raise InputError(str(error), field="maps") from error
