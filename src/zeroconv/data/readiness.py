"""What training refuses about a folder of pairs, found before the first step: the headers of its files suffice."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zeroconv import conditions
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.rows import Row
from zeroconv.errors import InputError
from zeroconv.images import open_image
from zeroconv.picture_files import PictureFile, upright_size

__all__ = ["Readiness", "check_ready", "inspect"]

STEP = 8  # pixels of a picture for one of its latents, in every autoencoder that is opened here
TAIL = 4096  # bytes at a file's end in which its end mark is looked for
END_MARKS = {b"\x89PN": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}
ONE_SIZE = "train on pictures of one size, or with `--set buckets=true`"


@dataclass
class Readiness:
    """What training would say of a folder.

    Attributes:
        problems: one line for each pair that cannot be used, by the pair's place in the data set.
        general: one line for each thing that is wrong with the whole.
        size: width and height in pixels of most pictures; None when none can be read.
        sizes: how many pictures have each size.
    """

    problems: dict[int, str] = field(default_factory=dict[int, str])
    general: list[str] = field(default_factory=list[str])
    size: tuple[int, int] | None = None
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])

    @property
    def lines(self) -> list[str]:
        """All problems, those of the whole first."""
        return self.general + [self.problems[index] for index in sorted(self.problems)]


def inspect(pairs: FolderPairs, held_out: int, extract: Mapping[str, Any] | None = None, one_size: bool = True) -> Readiness:
    """Look at every file's header, and at the whole of a file that seems cut short.

    Args:
        pairs: the folder's.
        held_out: how many pairs training would hold out.
        extract: the extractor's parameters; if there are any, ready maps are left aside.
        one_size: whether all pictures must have one size, of multiples of 8; not where they are cut to buckets.
    """
    found, known = Readiness(), conditions.get(pairs.condition)
    sizes: dict[int, tuple[int, int]] = {}
    asked = {part.name: known.of_part(part, extract or {}) for part in known.each}
    options = {part.name: f"`--set extract.{known.key(part, 'method')}=…`" for part in known.each}
    needed = {part.name: part.domain_warning(asked[part.name], options[part.name]) for part in known.each}
    missing: dict[str, list[int]] = {}
    for index, row in enumerate(pairs.rows):
        paths = {condition: path for condition, path in pairs.find_maps(index).items() if not asked[condition]}
        try:
            sizes[index] = readable_size(row.image, photo=True)
            map_sizes = {condition: readable_size(path) for condition, path in paths.items()}
        except (OSError, ValueError) as error:
            found.problems[index] = f"{error}{place(row)}"
            continue
        for condition in pairs.wanted:
            if condition not in paths and needed[condition]:
                missing.setdefault(condition, []).append(index)
        if wrong := next((key for key, size in map_sizes.items() if size != sizes[index]), None):
            sized = f"{paths[wrong]} is {name(map_sizes[wrong])}, its picture {name(sizes[index])}"
            found.problems.setdefault(index, f"{sized}{place(row)}")
    found.sizes = Counter(sizes.values())
    found.size = found.sizes.most_common(1)[0][0] if sizes else None
    for index, size in sizes.items():
        if one_size and size != found.size and found.size is not None and index not in found.problems:
            row = pairs.rows[index]
            found.problems[index] = f"pair {row.name!r} is {name(size)}, others {name(found.size)}{place(row)}: {ONE_SIZE}"
    for condition, indices in missing.items():
        row = pairs.rows[indices[0]]
        count = f"{len(indices)} of {len(pairs)} pairs have no {condition} map"
        found.general.append(f"{count} (first: pair {row.name!r}): add the maps, as {needed[condition]}")
    if held_out and len(pairs) <= held_out:
        held = f"the data set has {len(pairs)} pairs and {held_out} are held out"
        found.general.append(f"{held}: give more pairs, or a smaller probe_count")
    if one_size and found.size is not None and (found.size[0] % STEP or found.size[1] % STEP):
        found.general.append(f"pictures are {name(found.size)}; expected multiples of {STEP}")
    return found


def check_ready(pairs: FolderPairs, extract: Mapping[str, Any] | None = None, one_size: bool = True) -> dict[int, str]:
    """What is wrong with single pairs of a folder, by their place; they can be left out. Arguments as `inspect`.

    Raises:
        InputError: for what is wrong with the whole.
    """
    found = inspect(pairs, 0, extract, one_size)
    if found.general:
        raise InputError("; ".join(found.general), field="data.source")
    return found.problems


def readable_size(path: PictureFile, photo: bool = False) -> tuple[int, int]:
    """The size a file will have when opened.

    Raises:
        FileNotFoundError: when it is not there.
        ValueError: when it cannot be read: by its header, or, where the format's end mark is not found, by decoding it.
    """
    size = upright_size(path, photo)
    with path.open("rb") as file:
        mark = END_MARKS.get(file.read(3))
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        is_whole = mark is None or mark in file.read()
    if not is_whole:
        open_image(path)
    return size


def name(size: tuple[int, int]) -> str:
    """A size as people write it."""
    return f"{size[0]}x{size[1]}"


def place(row: Row) -> str:
    """Where a row is listed, in brackets."""
    return f" ({row.where})" if row.where and row.where != str(row.image) else ""
