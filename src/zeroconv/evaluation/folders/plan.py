"""What pictures of held-out pairs are made, under which names, and what they depend on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from zeroconv.checkpoints.files.atomic import read_json, write_text
from zeroconv.data import Pairs
from zeroconv.errors import InputError

__all__ = [
    "CONFLICT", "CURVE_PICTURES", "MAPS", "RECONSTRUCTION", "SETTINGS", "TRUTH", "WITH", "WITHOUT",
    "ConflictingPrompts", "PictureSet", "Plan", "check_settings", "name_stems", "order_by_key",
]  # fmt: skip

WITH, WITHOUT, RECONSTRUCTION, CONFLICT = "with-control", "without-control", "reconstruction", "conflicting-prompts"
TRUTH, MAPS = "truth", "maps"
"""Folders of one evaluation."""

SETTINGS = "settings.json"
CURVE_PICTURES = 32  # that a fidelity is measured on for each number of steps
ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class PictureSet:
    """One folder of pictures, one for each pair.

    Attributes:
        folder: its name.
        controlled: whether the control acts.
        steps: denoising steps.
        count: of the first so many pairs alone; None is all.
        conflicting: whether each picture is made from another pair's prompt.
    """

    folder: str
    controlled: bool
    steps: int
    count: int | None = None
    conflicting: bool = False


@dataclass(frozen=True)
class Plan:
    """What is made of held-out pairs.

    Attributes:
        condition: of the maps.
        count: how many pictures: of the first so many pairs, or fewer with several pictures of each map.
        num_inference_steps: denoising steps.
        guidance_scale: β of classifier-free guidance.
        scale: strength of the control.
        weighting: of the connections.
        sampler: its canonical name.
        seed: of the first pair; picture i has `seed + i`.
        batch_size: pairs computed together.
        curve: numbers of steps at which fidelity is measured too, on the first pairs.
        conflict: whether pictures are also made from conflicting prompts.
        negative_prompt: of the unconditional side.
        pictures_per_map: made of each pair, one behind the other, each with its own seed.
        control_guidance_scale: γ of guidance on the control, see `ControlGuidanceDenoiser`; none if left out.
    """

    condition: str
    count: int
    num_inference_steps: int = 20
    guidance_scale: float = 7.5
    scale: float = 1.0
    weighting: str = "uniform"
    sampler: str = "dpm++2m"
    seed: int = 0
    batch_size: int = 8
    curve: tuple[int, ...] = ()
    conflict: bool = False
    negative_prompt: str = ""
    pictures_per_map: int = 1
    control_guidance_scale: float | None = None

    @property
    def batches(self) -> int:
        """How many batches the pairs are."""
        return -(-self.count // self.batch_size)

    def rows(self, batch: int) -> range:
        """The pairs of a batch, the same whoever makes it and whatever is there already."""
        return range(batch * self.batch_size, min((batch + 1) * self.batch_size, self.count))

    @cached_property
    def generated(self) -> list[PictureSet]:
        """The sets that the base makes, besides the reconstructions."""
        steps = self.num_inference_steps
        sets = [PictureSet(WITH, True, steps), PictureSet(WITHOUT, False, steps)]
        sets += [PictureSet(curve_folder(n), True, n, CURVE_PICTURES) for n in self.curve if n != steps]
        return [*sets, *([PictureSet(CONFLICT, True, steps, conflicting=True)] if self.conflict else [])]

    def curve_folders(self) -> dict[int, str]:
        """The folder of each number of steps of the curve, fewest first."""
        return {n: WITH if n == self.num_inference_steps else curve_folder(n) for n in sorted(set(self.curve))}

    def request(self, steps: int, controlled: bool = True) -> dict[str, Any]:
        """What the pipeline is asked for, with so many steps, with the control or without it."""
        given = {"guidance_scale": self.guidance_scale, "weighting": self.weighting, "sampler": self.sampler}
        negative = {"negative_prompt": self.negative_prompt} if self.negative_prompt else {}
        guided = controlled and self.control_guidance_scale is not None
        control = {"control_guidance_scale": self.control_guidance_scale} if guided else {}
        return {"num_inference_steps": steps, **given, **negative, **control}

    def settings(self) -> dict[str, Any]:
        """What every picture depends on: not how many there are, nor how many are computed together."""
        left_out = {"count", "batch_size", "curve", "conflict"}
        # of these, folders made before say nothing
        later = {"negative_prompt": "", "pictures_per_map": 1, "control_guidance_scale": None}
        given = {key: value for key, value in asdict(self).items() if key not in left_out}
        return {key: value for key, value in given.items() if key not in later or value != later[key]}


def curve_folder(steps: int) -> str:
    """The folder of pictures of another number of steps."""
    return f"steps-{steps:03d}"


def check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Note what the pictures of a folder are made with, or refuse to go on with those of other settings.

    Raises:
        InputError: naming what differs.
        OSError: when it cannot be written.
    """
    path = folder / SETTINGS
    if not path.is_file():
        write_text(path, json.dumps(settings, indent=1) + "\n")
        return
    try:
        before = read_json(path)
    except ValueError as error:
        raise InputError(str(error), field="out", hint="name another --out, or begin anew with --fresh") from error
    now = json.loads(json.dumps(settings))
    for key in {**now, **before}:
        value = now.get(key)
        if before.get(key) != value:
            found = f"{folder} has pictures with {key} {before.get(key)!r:.80}, and {value!r:.80} is asked for"
            raise InputError(found, field="out", hint="name another --out, or begin anew with --fresh")


def name_stems(names: Sequence[str]) -> list[str]:
    """A file name without ending for each pair, from its name in the data set: "images/house.png" is "house".

    Folders that all names share are left out, others become part of the stem; letters that file systems differ about become
    "_"; what would be there twice is numbered.
    """
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    parts = [(path.with_suffix("") if path.suffix.lower() in ENDINGS else path).parts for path in paths]
    shared = 0
    while parts and all(len(one) > shared + 1 and one[shared] == parts[0][shared] for one in parts):
        shared += 1
    taken, stems = set[str](), list[str]()
    for one in parts:
        plain = "_".join(one[shared:]) or "picture"
        plain = "".join(letter if letter.isalnum() or letter in "-_.+=@ " else "_" for letter in plain).strip(" .")[:120]
        stem, number = plain or "picture", 1
        while stem.lower() in taken:
            number += 1
            stem = f"{plain}-{number}"
        taken.add(stem.lower())
        stems.append(stem)
    return stems


def order_by_key(stems: Sequence[str], seed: int) -> list[int]:
    """The places of stems in an order that depends on nothing but themselves and a seed."""
    keys = [hashlib.sha256(f"{seed}/{stem}".encode()).digest() for stem in stems]
    return sorted(range(len(stems)), key=keys.__getitem__)


@dataclass
class ConflictingPrompts:
    """Prompts that contradict the maps: each pair gets the next one's in a keyed order of all pairs.

    Attributes:
        pairs: all of the data set, so that a prompt does not depend on how many are evaluated.
        stems: of the pairs.
        seed: of the order.
    """

    pairs: Pairs
    stems: Sequence[str]
    seed: int
    order: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.order = order_by_key(self.stems, self.seed)

    def of(self, row: int, prompt: str) -> str:
        """Another pair's prompt: the next in order that differs.

        Raises:
            InputError: when all prompts are the same.
        """
        place = self.order.index(row)
        for other in (*self.order[place + 1 :], *self.order[:place]):
            if (found := self.pairs[other].caption) != prompt:
                return found
        raise InputError(f"all {len(self.order)} prompts are {prompt!r:.80}: none contradicts a map", field="conflict")
