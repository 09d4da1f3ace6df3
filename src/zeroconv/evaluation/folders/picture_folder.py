"""A folder of pictures that anything made: files by their stems, and what is said of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from zeroconv import conditions
from zeroconv.conditions import Condition
from zeroconv.data.columns import CAPTIONS, PICTURES
from zeroconv.data.folder_tree import read_caption_file
from zeroconv.data.listing import read_listing
from zeroconv.errors import InputError
from zeroconv.evaluation.folders.manifest import MANIFEST, Entry, read_manifest
from zeroconv.images import open_image
from zeroconv.picture_files import open_lazily, upright_size

__all__ = ["PictureFolder", "files_by_stem", "find_condition", "find_maps", "read_prompts"]

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class PictureFolder:
    """Pictures that lie directly in a folder.

    Attributes:
        path: of the folder.
        files: of the pictures by stem, in the order of the manifest, or of their names.
        entries: what is said of each.
        listed: whether the folder has a manifest, which then says what belongs to it.
    """

    path: Path
    files: Mapping[str, Path]
    entries: Mapping[str, Entry] = field(repr=False)
    listed: bool = False

    @classmethod
    def open(cls, path: str | Path) -> "PictureFolder":
        """The pictures of a folder: those that its manifest lists, else all.

        Raises:
            InputError: when it is not there, holds no pictures, two have one stem, or one of the manifest is missing.
        """
        path = Path(path)
        files, listed = files_by_stem(path, "folder"), read_manifest(path)
        if not files:
            expected = "expected PNG, JPEG or WebP files directly in it"
            raise InputError(f"{path} holds no pictures; {expected}", field="folder")
        if listed is None:
            return cls(path, files, {stem: read_embedded(file) for stem, file in files.items()})
        missing = [stem for stem in listed if stem not in files]
        if missing:
            count = f"{len(missing)} of {len(listed)}"
            message = f"{path / MANIFEST} lists {missing[0]!r}, and {path} has no such picture ({count} are missing)"
            raise InputError(message, field="folder", hint="make it, or take it off the list")
        return cls(path, {stem: files[stem] for stem in listed}, listed, listed=True)

    @property
    def stems(self) -> list[str]:
        """Of its pictures, in order."""
        return list(self.files)

    def open_picture(self, stem: str) -> Image.Image:
        """A picture, RGB.

        Raises:
            InputError: when it cannot be read.
        """
        try:
            return open_image(self.files[stem])
        except (OSError, ValueError) as error:
            raise InputError(str(error), field="folder") from error

    def size_of(self, stem: str) -> tuple[int, int]:
        """Width and height of a picture, from its header alone.

        Raises:
            InputError: when it cannot be read.
        """
        try:
            return upright_size(self.files[stem], photo=True)
        except (OSError, ValueError) as error:
            raise InputError(str(error), field="folder") from error

    def select(self, stems: Sequence[str]) -> "PictureFolder":
        """Some of its pictures."""
        files = {stem: self.files[stem] for stem in stems}
        return replace(self, files=files, entries={stem: self.entries[stem] for stem in stems})

    def with_prompts(self, prompts: Mapping[str, str]) -> "PictureFolder":
        """The same, with prompts that somebody else says.

        Raises:
            InputError: when a picture has none.
        """
        missing = [stem for stem in self.files if stem not in prompts]
        if missing:
            count = f"{len(missing)} of {len(self.files)} pictures"
            raise InputError(f"there is no prompt for {missing[0]!r} ({count} have none)", field="prompts")
        entries = {stem: replace(entry, prompt=prompts[stem]) for stem, entry in self.entries.items()}
        return replace(self, entries=entries)

    def with_maps(self, maps: Mapping[str, Path]) -> "PictureFolder":
        """The same, with the file of each picture's map."""
        return replace(self, entries={stem: replace(entry, map=maps[stem]) for stem, entry in self.entries.items()})


def files_by_stem(folder: Path, what: str, endings: Sequence[str] = ENDINGS) -> dict[str, Path]:
    """The pictures that lie directly in a folder, in the order of their names.

    Args:
        folder: where.
        what: the field of errors.
        endings: of the files.

    Raises:
        InputError: when there is no such folder, or two pictures have one stem.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", field=what)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in endings and not path.name.startswith(".") and path.is_file():
            if path.stem in found:
                raise InputError(f"{found[path.stem]} and {path} have one stem", field=what, hint="rename or remove one")
            found[path.stem] = path
    return found


def read_embedded(file: Path) -> Entry:
    """What a picture itself says of how it was made, if `zeroconv` wrote it."""
    if file.suffix.lower() != ".png":
        return Entry(file.stem)
    try:
        with open_lazily(file, photo=True) as image:
            request = json.loads(image.info["zeroconv"])["request"]
        prompt, seed = request["prompt"], request["seed"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # another tool's, or damaged: said when it is opened
        return Entry(file.stem)
    return Entry(file.stem, prompt if isinstance(prompt, str) else None, seed if isinstance(seed, int) else None)


def find_maps(folder: PictureFolder, maps: Path | None, condition: Condition) -> dict[str, Path]:
    """The file of each picture's map.

    Args:
        folder: the pictures.
        maps: a folder of maps by stem, also under the names that `zeroconv extract` gives them (STEM-CONDITION.png); the
            maps that the manifest names if left out.
        condition: of the maps.

    Raises:
        InputError: when a picture has no map, or a map no picture and there is no manifest that leaves it out.
    """
    if maps is None:
        found = {stem: entry.map for stem, entry in folder.entries.items() if entry.map is not None}
        missing = [stem for stem in folder.files if stem not in found or not found[stem].is_file()]
        if missing and missing[0] not in found:
            hint = "give the folder of the maps with --maps"
            raise InputError(f"nothing says which map {missing[0]!r} of {folder.path} was made from", field="maps", hint=hint)
        if missing:
            count = f"{len(missing)} of {len(folder.files)} are missing"
            raise InputError(f"there is no map {found[missing[0]]} ({count})", field="maps")
        return {stem: found[stem] for stem in folder.files}
    endings = (*ENDINGS, ".json") if condition.draw_document else ENDINGS
    by_stem: dict[str, Path] = {}
    for stem, file in files_by_stem(maps, "maps", endings).items():
        name = stem if stem in folder.files else stem.removesuffix(f"-{condition.name}")
        if name in by_stem:
            raise InputError(f"{by_stem[name]} and {file} are both maps of {name!r}", field="maps", hint="remove one")
        by_stem[name] = file
    missing = [stem for stem in folder.files if stem not in by_stem]
    if missing:
        count = f"{len(missing)} of {len(folder.files)} pictures have none"
        raise InputError(f"{folder.files[missing[0]]} has no map in {maps} ({count})", field="maps")
    alone = [file for stem, file in by_stem.items() if stem not in folder.files]
    if alone and not folder.listed:
        count = f"{len(alone)} of {len(by_stem)} maps have none"
        hint = f"make them all, or list in {folder.path / MANIFEST} those that count"
        raise InputError(f"{alone[0]} has no picture in {folder.path} ({count})", field="maps", hint=hint)
    return {stem: by_stem[stem] for stem in folder.files}


def find_condition(folder: PictureFolder, maps: Path | None, asked: str | None) -> Condition:
    """The condition of the maps: as asked, else what the manifest says, else by the name of their folder.

    Raises:
        InputError: for an unknown one, or when nobody says it.
    """
    said = asked or next((entry.condition for entry in folder.entries.values() if entry.condition), None)
    if said is not None:
        return conditions.get(said)
    found = None if maps is None else conditions.find(maps.resolve().name)
    if found is None:
        known = ", ".join(conditions.names())
        raise InputError("nothing says which condition the maps are of", field="condition", hint=f"name one of {known}")
    return found


def read_prompts(place: Path) -> dict[str, str]:
    """Prompts by stem.

    Args:
        place: a folder of STEM.txt, or a list (`.jsonl`, `.json`, `.csv`) with `stem` or `file_name`, and `prompt` or `text`.

    Raises:
        InputError: when it is not there, or holds none.
    """
    if place.is_dir():
        return {path.stem: read_caption_file(path) for path in sorted(place.glob("*.txt"))}
    if not place.is_file():
        raise InputError(f"there is no file or folder {place}", field="prompts")
    found: dict[str, str] = {}
    for values, where in read_listing(place):
        names = [values[key] for key in ("stem", *PICTURES) if isinstance(values.get(key), str)]
        texts = [values[key] for key in CAPTIONS if isinstance(values.get(key), str)]
        if not names or not texts:
            raise InputError(f"{where} has no stem or no prompt; expected both", field="prompts")
        name = Path(names[0])
        found[name.stem if name.suffix.lower() in ENDINGS else name.name] = texts[0]
    return found
