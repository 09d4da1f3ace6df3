"""Folders without a list: pictures with their captions in text files beside them, and maps of the same names in folders."""

import re
from collections.abc import Iterator
from pathlib import Path

from zeroconv.data.columns import UNNAMED, Columns
from zeroconv.data.listing import decode
from zeroconv.errors import InputError, shorten
from zeroconv.messages import Message, tell

__all__ = ["find_files", "read_caption_file"]

PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
CAPTIONS = (".txt", ".caption")
PICTURE_FOLDERS = ("images", "image", "img", "imgs", "pictures", "photos", "target", "targets", "train")
"""A folder of this name holds the pictures; without one they lie in the data folder itself."""
NUMBERED = re.compile(r"[1-9][0-9]{0,3}_.")


def find_files(folder: Path) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Each picture with its maps by condition, in the order of their names.

    ```
    images/house.png    images/house.txt    canny/house.png        a map in a folder that its condition names
    house.jpg           house.txt           conditioning/house.png  or one whose condition is not named
    ```

    Args:
        folder: the data folder; pictures may lie deeper, and their maps then lie equally deep.

    Raises:
        InputError: when two pictures have one name without their endings.
    """
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    columns = Columns()
    maps = {path: name for path in folders if (name := columns.map_name(path.name)) is not None}
    root = next((path for name in PICTURE_FOLDERS for path in folders if path.name.lower() == name), folder)
    found = {path: files_by_name(path) for path in maps}
    left_out = set(maps) if root == folder else set[Path]()
    pictures = files_by_name(root, left_out)
    tell_numbered({parts[0] for name in pictures if len(parts := Path(name).parts) > 1})
    for name, picture in pictures.items():
        ready: dict[str, Path] = {}
        for place, condition in maps.items():
            if name in found[place] and place != root:
                ready.setdefault(condition or UNNAMED, found[place][name])
        yield picture, ready


def files_by_name(root: Path, left_out: set[Path] | None = None) -> dict[str, Path]:
    """Every picture under a folder by its path without the ending.

    Raises:
        InputError: when two have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in PICTURES or path.name.startswith(".") or not path.is_file():
            continue
        if left_out and left_out & set(path.parents):
            continue
        name = str(path.relative_to(root).with_suffix(""))
        if name in found:
            raise InputError(f"{found[name]} and {path} have one name", field="data.source", hint="rename one of them")
        found[name] = path
    return found


def tell_numbered(folders: set[str]) -> None:
    """Say that a number before a folder's name, by which kohya's scripts repeat its pictures, repeats nothing here."""
    numbered = sorted(name for name in folders if NUMBERED.match(name))
    if numbered:
        text = f"the number of {shorten(', '.join(numbered))} repeats nothing: every picture is seen once in an epoch"
        tell(Message(f"{text}; a list that names a picture several times does repeat it", "data.numbered-folder"))


def read_caption_file(picture: Path) -> str:
    """The caption beside a picture: its `.txt` or `.caption` in one line, "" without one.

    Raises:
        InputError: when it is not UTF-8.
    """
    for ending in CAPTIONS:
        path = picture.with_suffix(ending)
        if path.is_file():
            return " ".join(decode(path).split())
    return ""
