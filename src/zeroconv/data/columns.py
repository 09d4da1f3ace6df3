"""What the columns of a list mean: the picture, its captions, its maps, whatever the tool that wrote it calls them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import Any

from zeroconv import conditions
from zeroconv.data.file_part import Cell, FilePart
from zeroconv.errors import InputError, shorten
from zeroconv.picture_files import PictureFile

__all__ = ["CAPTIONS", "UNNAMED", "Columns", "path_inside", "picture_of", "plain", "read_captions"]

UNNAMED = "*"
"""The key of a map whose condition the list does not name."""

PICTURES = ("file_name", "filename", "file", "image", "image_path", "target", "path")
CAPTIONS = ("text", "caption", "prompt", "captions", "prompts", "description")
MAPS = (
    "conditioning_image", "source", "conditioning", "condition_image", "control", "control_image", "hint",
    "conditioning_images", "controls", "hints",
)  # fmt: skip
ENDINGS = ("_file_name", "_filename", "_file", "_path", "_image", "_map")


class Columns:
    """The meaning of keys, in lower case and with underscores: "Depth-Map" and "depth_file_name" are depth."""

    def __init__(self) -> None:
        self.pictures = PICTURES
        named = {name: name for name in conditions.names()} | conditions.aliases()
        self.maps = dict.fromkeys(MAPS, UNNAMED) | {plain(key): name for key, name in named.items()}
        self.unknown: dict[str, str] = {}

    def prefer(self, key: str) -> None:
        """Let a key name the picture before all others, as "target" does in the authors' tutorial."""
        self.pictures = (key, *self.pictures)

    def picture_key(self, line: Mapping[str, Any]) -> str:
        """The key that names the picture; "file_name" when none does."""
        known = {plain(key): key for key in line}
        return next((known[name] for name in self.pictures if name in known), self.pictures[0])

    def caption_key(self, line: Mapping[str, Any]) -> str | None:
        """The key of the caption: the first of those known that is not empty."""
        known = {plain(key): key for key in line if line[key] is not None}
        return next((known[name] for name in CAPTIONS if name in known), None)

    def map_name(self, key: str) -> str | None:
        """The condition that a column holds, "*" if it does not say which; None when it is no column of maps."""
        name = plain(key)
        while name not in self.maps:
            ending = next((end for end in ENDINGS if name.endswith(end)), None)
            if ending is None:
                return None
            name = name.removesuffix(ending)
        return self.maps[name]

    def read_maps(self, line: Mapping[str, Any], picture: str) -> dict[str, str]:
        """The key of each map by its condition; of two columns for one condition the first counts."""
        found: dict[str, str] = {}
        for key in line:
            name = None if key == picture else self.map_name(key)
            if name is not None and line[key] is not None:
                found.setdefault(name, key)
        return found

    def note_unknown(self, line: Mapping[str, Any], used: Iterable[str | None], where: str) -> None:
        """Remember the columns that nothing is made of, each with the place where it is first seen."""
        for key in line.keys() - set(used):
            if line[key] is not None and plain(key) not in CAPTIONS:
                self.unknown.setdefault(key, where)


@lru_cache(maxsize=1024)
def plain(key: str) -> str:
    """A key in the one spelling that keys are compared in."""
    return key.strip().lower().replace("-", "_").replace(" ", "_")


def read_captions(value: Any, key: str, where: str) -> tuple[str, ...]:
    """The captions of a row: one, or a list of which every visit sees one.

    Raises:
        InputError: for anything else.
    """
    values = value if isinstance(value, list) else [value]
    for caption in values:
        if not isinstance(caption, str):
            shown = shorten(str(caption))
            message = f"{where}: {key} is {type(caption).__name__} ({shown}); expected a caption, or a list of captions"
            raise InputError(message, field="data.source")
        check_letters(caption, key, where)
    return tuple(values)


def check_letters(text: str, key: str, where: str) -> None:
    """Refuse half of a surrogate pair, which no file name and no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise InputError(f"{where}: {key} holds {half}, half of a letter; write it whole", field="data.source") from error


def picture_of(folder: Path, line: Mapping[str, Any], key: str, where: str, roots: Sequence[Path] = ()) -> PictureFile:
    """The picture that `line[key]` is or names.

    Args:
        folder: that paths begin in.
        line: a row's values.
        key: one of its keys.
        where: the row's place.
        roots: folders in which an absolute path may lie.

    Raises:
        InputError: as `path_inside`.
    """
    value = line.get(key)
    if isinstance(value, Cell | FilePart):
        return value
    if isinstance(value, str) and roots and Path(value).is_absolute():
        path = Path(value).resolve()
        if any(path.is_relative_to(root) for root in roots):
            return path
    return path_inside(folder, line, key, where)


def path_inside(folder: Path, line: Mapping[str, Any], key: str, where: str) -> Path:
    r"""The file that `line[key]` names; Windows' backslashes are read as slashes.

    Raises:
        InputError: when there is no such key, or the path leads out of the folder.
    """
    value = line.get(key)
    if value is None or value == "":
        raise InputError(f"{where} has no {key!r}; it has {shorten(', '.join(line)) or 'nothing'}", field="data.source")
    if not isinstance(value, str) or "\0" in value:
        raise InputError(f"{where}: {key} is {shorten(repr(value))}; expected a path inside the folder", field="data.source")
    check_letters(value, key, where)
    windows = PureWindowsPath(value)
    if windows.drive or windows.root or ".." in windows.parts:
        raise InputError(f"{where}: {key} is {shorten(value)!r}; expected a path inside the folder", field="data.source")
    return folder / (value.replace("\\", "/") if "\\" in value and not is_file(folder / value) else value)


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that the system refuses is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
