"""Picture files before they are decoded: format, size and the limits of what is read."""

import os
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from PIL import Image

from zeroconv.data_uri import is_data_uri, picture_name, read_data_uri

__all__ = ["MAX_PIXELS", "PictureFile", "PictureSource", "existing", "open_lazily", "photo_scale", "upright_size"]

FORMATS = ("PNG", "JPEG", "WEBP")
# Checked on the header, before a decoder runs: a 20 KB PNG can otherwise become half a gigabyte.
MAX_PIXELS = 32_000_000
# Photographs may be larger: they are halved until they are not, JPEG while it is decoded, so that it takes no more memory.
# A file must hold a byte for this many pixels, as photographs do and bombs do not.
MAX_PHOTO_PIXELS = {"JPEG": 178_000_000, "PNG": 128_000_000, "WEBP": 128_000_000}
PIXELS_PER_BYTE = 64
OTHER_FORMATS = {
    "a GIF": (0, (b"GIF8",)),
    "an AVIF": (4, (b"ftypavif", b"ftypavis")),
    "a HEIC": (4, (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1")),
    "a TIFF": (0, (b"II*\0", b"MM\0*")),
    "a BMP": (0, (b"BM",)),
    "a JPEG XL": (0, (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    "a Photoshop document": (0, (b"8BPS",)),
    "an SVG": (0, (b"<svg", b"<?xml")),
}
"""What people take for a picture that is read: where in the file, and with which bytes, each begins."""
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF: the tag, and the values that exchange width and height


class PictureFile(Protocol):
    """Where the bytes of a picture lie: a `Path` is one, and so is a part of another file; `str()` names it in messages."""

    @property
    def name(self) -> str:
        """Short; of a file its last part."""
        ...

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """The bytes, to read and to seek in.

        Raises:
            OSError: or `ValueError`, when they cannot be read.
        """
        ...


PictureSource = str | os.PathLike[str] | PictureFile
"""What pictures are opened from: a path, a `data:` URI, or a part of another file."""


def open_lazily(path: PictureSource, photo: bool = False) -> Image.Image:
    """Open lazily: read and judge the header, decode nothing; a photo may have more pixels."""
    file, path = find_bytes(path), picture_name(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow only warns about large images; we refuse them below
            image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError as error:  # from 179 megapixels on
        raise ValueError(f"{path} is too large: more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except PermissionError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # decoders raise many kinds for damaged headers
        raise ValueError(f"{path} is {describe_unreadable(file)}") from error
    width, height = image.size
    most = max(MAX_PIXELS, photo_limit(image, file)) if photo else MAX_PIXELS
    if width * height > most:
        image.close()
        limit = most // 1_000_000
        raise ValueError(f"{path} is too large: {width} x {height} pixels, at most {limit} megapixels are read")
    return image


def describe_unreadable(file: Path | BinaryIO) -> str:
    """What a file is in place of a picture that is read: another format, told by its first bytes, or nothing known."""
    try:
        with file.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
            stream.seek(0)
            start = stream.read(16)
    except (OSError, ValueError):
        start = b"?"
    other = next((name for name, (at, marks) in OTHER_FORMATS.items() if start[at:].startswith(marks)), None)
    said = "not a readable PNG, JPEG or WebP image"
    if other is not None:
        return f"{said} but {other}: save it as PNG or JPEG"
    return said if start else f"{said}: it is empty"


def find_bytes(path: PictureSource) -> Path | BinaryIO:
    """A file that is there, or an open one where the picture is not a file of its own."""
    if is_data_uri(path):
        return read_data_uri(path)
    return existing(Path(path)) if isinstance(path, str | os.PathLike) else path.open("rb")


def photo_limit(image: Image.Image, file: Path | BinaryIO) -> int:
    """The most pixels that a photograph of this format and this many bytes may have."""
    if isinstance(file, Path):
        size = file.stat().st_size
    else:
        place = file.tell()
        size = file.seek(0, os.SEEK_END)
        file.seek(place)
    return min(MAX_PHOTO_PIXELS.get(image.format or "", 0), size * PIXELS_PER_BYTE)


def upright_size(path: PictureSource, photo: bool = False) -> tuple[int, int]:
    """Width and height in pixels that a file will have when opened, from the header alone.

    Args:
        path: of the file, or the part of one that it is.
        photo: as `open_image` opens it; else as `open_map` does.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `open_image`, as far as the header tells.
    """
    with open_lazily(path, photo) as image:
        width, height = image.size
        scale = photo_scale(image.size)
        try:
            turned = image.getexif().get(ORIENTATION) in TURNED
        except Exception as error:  # as in `open_lazily`: decoders raise many kinds
            raise ValueError(f"{path} is damaged or cut short and cannot be decoded") from error
    width, height = -(-width // scale), -(-height // scale)
    return (height, width) if turned else (width, height)


def photo_scale(size: tuple[int, int]) -> int:
    """By which power of two a photograph's sides are divided so that at most 32 megapixels remain."""
    scale = 1
    while -(-size[0] // scale) * -(-size[1] // scale) > MAX_PIXELS:
        scale *= 2
    return scale


def existing(path: Path) -> Path:
    """A file that is there.

    Raises:
        FileNotFoundError: when nothing is.
        ValueError: when it is a folder.
    """
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if not path.is_file():
        raise ValueError(f"{path} is not a file; expected a PNG, JPEG or WebP image")
    return path
