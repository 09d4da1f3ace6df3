"""`zeroconv evaluate FOLDER`: pictures that anything made, judged by their maps, beside the truth and another folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zeroconv.conditions import Condition
from zeroconv.errors import InputError
from zeroconv.evaluation.folders.folder_report import FolderReport
from zeroconv.evaluation.folders.measuring import Measurer, measure_folders
from zeroconv.evaluation.folders.picture_folder import PictureFolder, find_condition, find_maps, read_prompts
from zeroconv.evaluation.folders.sizes import Sizes
from zeroconv.messages import Message, tell

__all__ = ["AGAINST", "FEW", "PICTURES", "TRUTH", "judge_folder"]

PICTURES, AGAINST, TRUTH = "pictures", "against", "truth"
"""The sets of a report on a folder."""

FEW = 30  # pictures, below which percentile intervals of a mean are known to be too narrow


def judge_folder(
    folder: Path,
    *,
    maps: Path | None = None,
    condition: str | Condition | None = None,
    truth: Path | None = None,
    against: Path | None = None,
    prompts: Path | None = None,
    judge: Mapping[str, Any] | None = None,
    sizes: Sizes | None = None,
    count: int | None = None,
    measurers: Sequence[Measurer] = (),
    reference: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> FolderReport:
    """Judge a folder of pictures.

    Args:
        folder: the pictures, with or without a manifest.
        maps: the folder of their maps; those that the manifest names if left out.
        condition: of the maps; what the manifest or the name of the folder of maps says if left out. Its score measures.
        truth: the folder of the true pictures, by the same stems: what they reach is the ceiling.
        against: another folder of pictures of the same maps and prompts, which is judged too and compared.
        prompts: of the pictures, as `read_prompts` takes them, if their makers do not say them.
        judge: who reads the maps back.
        sizes: how other sizes are brought together.
        count: the first so many pictures alone.
        measurers: of whole sets.
        reference: a folder of real pictures that measurers compare with; the true ones if left out.
        on_progress: called with (maps done, maps in all).

    Raises:
        InputError: for whatever of it is not there, or does not belong together, naming it.
    """
    pictures = PictureFolder.open(folder)
    known = condition if isinstance(condition, Condition) else find_condition(pictures, maps, condition)
    if warning := known.domain_warning(judge or {}, "--judge method=…"):
        tell(Message(warning, "judge.domain"))
    found = find_maps(pictures, maps, known)
    told = None if prompts is None else read_prompts(prompts)
    folders, notes = {PICTURES: pictures if told is None else pictures.with_prompts(told)}, list[str]()
    if against is not None:
        other = PictureFolder.open(against)
        folders[AGAINST] = other if told is None else other.with_prompts(told)
        notes += check_same(folders[PICTURES], folders[AGAINST], with_maps=maps is None)
    if truth is not None:
        folders[TRUTH] = find_truth(pictures, truth)
    stems = pictures.stems[:count]
    if len(stems) < (2 if against else 1):
        raise InputError(f"{len(stems)} picture is too few for a paired difference; expected 2 or more", field="count")
    if len(stems) < FEW:
        said = f"{len(stems)} pictures are few: with less than {FEW} the intervals are narrower than they should be"
        tell(Message(said, "evaluate.few"))
        notes.append(said)
    chosen = {name: one.select(stems) for name, one in folders.items()}
    report = measure_folders(
        chosen, {stem: found[stem] for stem in stems}, known, judge=judge, truth=TRUTH if truth else None, sizes=sizes,
        measurers=measurers, reference=PictureFolder.open(reference) if reference else None, on_progress=on_progress,
    )  # fmt: skip
    for line in report.notes:
        tell(Message(line, "evaluate.resized", "info"))
    compared = [(PICTURES, AGAINST)] if against is not None else []
    return replace(report, notes=[*notes, *report.notes], compared=compared)


def find_truth(pictures: PictureFolder, place: Path) -> PictureFolder:
    """The true pictures of a folder's stems.

    Raises:
        InputError: when one is missing.
    """
    true = PictureFolder.open(place)
    missing = [stem for stem in pictures.files if stem not in true.files]
    if missing:
        count = f"{len(missing)} of {len(pictures.files)} have none"
        raise InputError(f"{pictures.files[missing[0]]} has no true picture in {place} ({count})", field="truth")
    return true.select(pictures.stems)


def check_same(folder: PictureFolder, other: PictureFolder, with_maps: bool) -> list[str]:
    """Refuse to compare pictures of other maps or prompts.

    Args:
        folder: the pictures.
        other: those they are compared with.
        with_maps: whether the maps that the manifests name are compared too.

    Returns:
        What could not be looked at, for the report.

    Raises:
        InputError: naming the first picture that is in one folder alone, or has two maps or prompts.
    """
    for one, two in ((folder, other), (other, folder)):
        alone = [stem for stem in one.files if stem not in two.files]
        if alone:
            count = f"{len(alone)} of {len(one.files)} have none"
            message = f"{one.files[alone[0]]} has no counterpart in {two.path} ({count})"
            raise InputError(message, field="against", hint="compare folders of the same pictures")
    unknown = 0
    for stem, entry in folder.entries.items():
        another = other.entries[stem]
        if entry.prompt is None or another.prompt is None:
            unknown += 1
        elif entry.prompt != another.prompt:
            asked = f"{entry.prompt!r:.80} in {folder.path} and from {another.prompt!r:.80} in {other.path}"
            hint = "compare pictures of the same prompts"
            raise InputError(f"{stem} was made from {asked}", field="against", hint=hint)
        files = entry.map, another.map
        if with_maps and files[0] and files[1] and differ(files[0], files[1]):
            hint = "compare pictures of the same maps"
            raise InputError(f"{files[0]} and {files[1]} are two maps of {stem}", field="against", hint=hint)
    whose = f"of {unknown} pictures" if unknown < len(folder.files) else "of the pictures"
    return [f"nobody says the prompts {whose}: that both folders had the same is taken for granted"] if unknown else []


def differ(one: Path, two: Path) -> bool:
    """Whether two files hold other bytes; one that is missing is found elsewhere."""
    return one.is_file() and two.is_file() and one.read_bytes() != two.read_bytes()
