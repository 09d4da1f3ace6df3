"""Folders of pictures as `zeroconv evaluate FOLDER --maps MAPS` reads them, whoever made them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.baselines.common import CONDITIONS, SIZE, Case
from PIL import Image

from zeroconv.evaluation.folders.manifest import Entry, write_manifest
from zeroconv.images import open_image, write_png
from zeroconv.world import make

__all__ = ["is_written", "maps_folder", "write_cases", "write_pictures", "write_reference"]

REFERENCE = 930_000_000  # first scene of those that sets are compared with, as in the protocol `tiny`
AT_ONCE = 32  # cases that are generated between two looks at the folder


def maps_folder(pictures: Path, condition: str) -> Path:
    """Where the maps of a condition lie, beside the folders of pictures."""
    return pictures / "maps" / condition


def write_cases(pictures: Path, cases: Sequence[Case]) -> None:
    """The true pictures and the maps, those that are there excepted."""
    for case in cases:
        for condition in CONDITIONS:
            write_once(case.maps[condition], maps_folder(pictures, condition) / f"{case.name}.png")
        write_once(case.image, pictures / "truth" / f"{case.name}.png")
    write_manifest(pictures / "truth", [entry_of(pictures, case, "segmentation", None, {}) for case in cases])


def write_reference(folder: Path, count: int) -> None:
    """Other scenes, which the pictures are compared with as a set."""
    for seed in range(REFERENCE, REFERENCE + count):
        path = folder / f"world-{seed:09d}.png"
        if not path.exists():
            write_once(Image.fromarray(make(seed, size=SIZE).rgb), path)


def write_once(image: Image.Image, path: Path) -> None:
    """Write a picture that is not there yet, whole or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(image, path)


def is_written(folder: Path, cases: Sequence[Case]) -> bool:
    """Whether a folder has a picture of each case."""
    return all((folder / f"{case.name}.png").exists() for case in cases)


def write_pictures(
    folder: Path,
    cases: Sequence[Case],
    condition: str,
    seed: int,
    generate: Callable[[Sequence[Case]], Sequence[Image.Image]],
    more: Mapping[str, Any],
) -> list[Image.Image]:
    """Make those pictures of a folder that are not there yet, and its manifest.

    Args:
        folder: lies beside `maps` and `truth`.
        cases: held-out scenes, with the prompts that count.
        condition: whose maps the method was given.
        seed: of case 0.
        generate: makes a picture of each case.
        more: what else the manifest says of each, such as steps and guidance.
    """
    missing = [case for case in cases if not (folder / f"{case.name}.png").exists()]
    for first in range(0, len(missing), AT_ONCE):
        part = missing[first : first + AT_ONCE]
        for case, image in zip(part, generate(part), strict=True):
            write_once(image, folder / f"{case.name}.png")
    write_manifest(folder, [entry_of(folder.parent, case, condition, seed + case.index, more) for case in cases])
    return [open_image(folder / f"{case.name}.png") for case in cases]


def entry_of(pictures: Path, case: Case, condition: str, seed: int | None, more: Mapping[str, Any]) -> Entry:
    """The line of the manifest about a picture."""
    return Entry(case.name, case.prompt, seed, maps_folder(pictures, condition) / f"{case.name}.png", condition, more)
