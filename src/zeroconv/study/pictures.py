"""The pictures of a study: one folder per method, matched by stem, as pixels that do not say who made them."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from zeroconv.errors import InputError, name_field
from zeroconv.images import open_image, open_map, resize
from zeroconv.messages import Message, tell

__all__ = ["StudyItem", "common_stems", "read_items", "read_prompts"]

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
NAMED = 5  # what is left out is named up to so many
LONGEST_PROMPT = 2000


@dataclass(frozen=True)
class StudyItem:
    """What all methods made of one condition.

    Attributes:
        stem: name of the files without ending.
        pictures: a PNG per method, in the order of the methods, all of one size.
        map: PNG of the condition map; None where fidelity is not asked for.
        prompt: None where there is none.
    """

    stem: str
    pictures: tuple[bytes, ...]
    map: bytes | None = None
    prompt: str | None = None


def common_stems(folders: Mapping[str, Path]) -> list[str]:
    """Stems that every folder has, sorted; the others are told.

    Args:
        folders: by the name that messages call them.

    Raises:
        InputError: a folder that is none or has a stem twice, or no stem that all have.
    """
    listed = {name: list_pictures(folder, name) for name, folder in folders.items()}
    every = sorted(set().union(*listed.values()))
    found = [stem for stem in every if all(stem in stems for stems in listed.values())]
    if not found:
        counts = ", ".join(f"{name} {len(stems)}" for name, stems in listed.items())
        message = f"no picture has the same name in every folder (pictures: {counts})"
        raise InputError(message, field="method", hint="name the files alike, such as 0001.png")
    if missing := [stem for stem in every if stem not in found]:
        lacking = {stem: [name for name, stems in listed.items() if stem not in stems] for stem in missing[:NAMED]}
        named = ", ".join(f"{stem} (not in {', '.join(names)})" for stem, names in lacking.items())
        more = ", …" if len(missing) > NAMED else ""
        text = f"{len(missing)} of {len(every)} are left out, not every folder has them: {named}{more}"
        tell(Message(text, "study.missing"))
    return found


def list_pictures(folder: Path, name: str) -> dict[str, Path]:
    """The pictures of a folder by stem.

    Raises:
        InputError: no folder, or a stem twice.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", field=name, hint="give the folder of the pictures")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
            continue
        if path.stem in found:
            raise InputError(f"{folder} has both {found[path.stem].name} and {path.name}", field=name, hint="keep one of them")
        found[path.stem] = path
    return found


def read_prompts(source: Path) -> dict[str, str]:
    """Prompts by stem, from a JSON object or from a folder of STEM.txt files.

    Raises:
        InputError: it is neither.
    """
    with name_field("prompts"):
        if source.is_dir():
            found: Any = {path.stem: path.read_text("utf-8") for path in sorted(source.glob("*.txt"))}
        else:
            try:
                found = json.loads(source.read_text("utf-8"))
            except (ValueError, RecursionError) as error:
                raise InputError(f'{source} is not JSON; expected an object such as {{"0001": "a red house"}}') from error
        if not isinstance(found, dict) or not all(isinstance(one, str) for pair in found.items() for one in pair):
            raise InputError(f'{source} is not an object of texts; expected one such as {{"0001": "a red house"}}')
    return {str(stem): " ".join(str(text).split())[:LONGEST_PROMPT] for stem, text in found.items()}


def read_items(
    stems: Sequence[str],
    methods: Mapping[str, Path],
    *,
    maps: Path | None = None,
    prompts: Mapping[str, str] | None = None,
    size: int | None = None,
) -> Iterator[StudyItem]:
    """Open the pictures of each stem, one item at a time.

    Args:
        stems: of `common_stems`.
        methods: their folders by name.
        maps: folder of the condition maps.
        prompts: by stem.
        size: pixels of the longer side that everything is resized to; as it is, if left out.

    Yields:
        The items in the order of the stems.

    Raises:
        InputError: a picture that cannot be read, or pictures of one stem in several sizes, which would tell who made them.
    """
    files = {name: list_pictures(folder, name) for name, folder in methods.items()}
    map_files = list_pictures(maps, "maps") if maps else {}
    for stem in stems:
        with name_field("method"):
            opened = {name: fit_to(open_image(found[stem]), size) for name, found in files.items()}
        sizes = {name: picture.size for name, picture in opened.items()}
        if len(set(sizes.values())) > 1:
            said = ", ".join(f"{width} x {height} in {name}" for name, (width, height) in sizes.items())
            hint = "resize them alike" if size else "--size PIXELS shows all of them alike"
            raise InputError(f"{stem} has several sizes, which would tell who made it ({said})", field="method", hint=hint)
        pictures = tuple(encode(picture) for picture in opened.values())
        if len(set(pictures)) < len(pictures):
            tell(Message(f"{stem} is the same picture in several folders", "study.same"))
        with name_field("maps"):
            shown = encode(fit_to(open_map(map_files[stem]), size)) if maps else None
        yield StudyItem(stem, pictures, shown, (prompts or {}).get(stem))


def fit_to(picture: Image.Image, size: int | None) -> Image.Image:
    """Resized until its longer side has so many pixels."""
    if size is None:
        return picture
    scale = size / max(picture.size)
    return resize(picture, (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))


def encode(picture: Image.Image) -> bytes:
    """A PNG of the pixels alone: no text, no EXIF, no profile, no time."""
    bare = Image.frombytes("RGB", picture.size, picture.convert("RGB").tobytes())
    file = io.BytesIO()
    bare.save(file, format="PNG")
    return file.getvalue()
