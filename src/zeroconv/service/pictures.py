"""Pictures as files under the SHA-256 of their bytes: the same bytes are one file, and a file is whole or not there."""

import errno
import hashlib
import io
import os
import re
import shutil
import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from PIL import Image

from zeroconv.checkpoints.files.atomic import move
from zeroconv.errors import InputError
from zeroconv.images import decode
from zeroconv.picture_files import open_lazily, photo_scale, upright_size
from zeroconv.service.failure import MissingError

__all__ = ["ID", "PICTURE", "PictureStore", "StoredPicture"]

PICTURE = "picture:"
"""Before the id of a stored picture in a request."""
ID = re.compile(r"[0-9a-f]{64}")
PNG = b"\x89PNG\r\n\x1a\n"
WRITING = 3600.0  # seconds after which a file is not being written any more
RESERVE = 256 * 2**20  # bytes of the disk that pictures which somebody sends leave free


@dataclass(frozen=True)
class StoredPicture:
    """A picture in the store.

    Attributes:
        id: the SHA-256 of its bytes, in hexadecimal.
        width: in pixels.
        height: in pixels.
    """

    id: str
    width: int
    height: int


@dataclass(frozen=True)
class Bytes:
    """Bytes as a picture file."""

    content: bytes
    name: str = "the picture"

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """The bytes."""
        return io.BytesIO(self.content)

    def __str__(self) -> str:
        return self.name


class PictureStore:
    """A folder of pictures. Processes may share it: files are renamed into it and never change.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.incoming = folder, folder / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)

    def path(self, picture: str) -> Path:
        """The file of a picture.

        Raises:
            MissingError: there is none, or it is no id.
        """
        found = self.place(picture) if ID.fullmatch(picture) else None
        if found is None or not found.is_file():
            raise MissingError(f"there is no picture {picture[:64]!r} here")
        return found

    def place(self, picture: str) -> Path:
        """Where the file of an id belongs."""
        return self.folder / picture[:2] / picture

    def read(self, picture: str) -> bytes:
        """The bytes of a picture.

        Raises:
            MissingError: there is none.
        """
        return self.path(picture).read_bytes()

    def size(self, picture: str) -> tuple[int, int]:
        """Width and height of a picture in pixels.

        Raises:
            MissingError: there is none.
        """
        return sent_size(Bytes(self.read(picture)))

    def read_png(self, picture: str) -> bytes:
        """A picture as PNG: its own bytes if it is one.

        Raises:
            MissingError: there is none.
            InputError: it is damaged.
        """
        content = self.read(picture)
        return content if content.startswith(PNG) else png_bytes(decode_sent(content))

    def read_preview(self, picture: str, width: int) -> bytes:
        """A picture as WebP, no wider than asked.

        Raises:
            MissingError: there is none.
            InputError: it is damaged.
        """
        image = decode_sent(self.read(picture))
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if image.width > width:
            image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=80, method=2)
        return buffer.getvalue()

    def add(self, content: bytes) -> StoredPicture:
        """Keep a picture that somebody sent, once its header was judged; it is decoded where it is used.

        Raises:
            InputError: it is no PNG, JPEG or WebP, or has too many pixels.
            OSError: it cannot be written.
        """
        name = hashlib.sha256(content).hexdigest()
        try:
            width, height = sent_size(Bytes(content))
        except ValueError as error:
            raise InputError(str(error), field="image") from error
        self.keep(content, name)
        return StoredPicture(name, width, height)

    def add_image(self, image: Image.Image) -> StoredPicture:
        """Keep a picture that was made here, as PNG.

        Raises:
            OSError: it cannot be written.
        """
        content = png_bytes(image)
        name = hashlib.sha256(content).hexdigest()
        self.keep(content, name)
        return StoredPicture(name, *image.size)

    def touch(self, picture: str) -> None:
        """A picture is used from now on, as if it was sent again.

        Raises:
            MissingError: there is none.
        """
        try:
            os.utime(self.path(picture))
        except FileNotFoundError as error:
            raise MissingError(f"there is no picture {picture[:64]!r} here") from error

    def keep(self, content: bytes, name: str) -> None:
        """Write bytes under their name, unless they are there."""
        if self.place(name).is_file():
            os.utime(self.place(name))
            return
        if shutil.disk_usage(self.folder).free < RESERVE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = self.incoming / f"{name}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            part.write_bytes(content)
            self.adopt(part, name)
        finally:
            part.unlink(missing_ok=True)

    def adopt(self, part: Path, name: str | None = None) -> str:
        """Take a file into the store under the SHA-256 of its bytes.

        Args:
            part: a file in `incoming`, which is gone then.
            name: the SHA-256, if it is known.

        Raises:
            OSError: it cannot be moved.
        """
        if name is None:
            with part.open("rb") as file:
                name = hashlib.file_digest(file, "sha256").hexdigest()
        place = self.place(name)
        place.parent.mkdir(exist_ok=True)
        move(part, place)
        return name

    def remove(self, picture: str) -> None:
        """Delete a picture; nothing happens if it is gone."""
        if ID.fullmatch(picture):
            self.place(picture).unlink(missing_ok=True)

    def empty(self) -> None:
        """Delete files that a crash left half written; nobody may be writing."""
        for part in self.incoming.iterdir():
            part.unlink(missing_ok=True)

    def sweep(self, used: Container[str], older: float) -> int:
        """Delete what nobody uses: pictures that were sent long ago, and files that were left half written.

        Args:
            used: ids that stay.
            older: seconds since a picture was last sent.

        Returns:
            How many were deleted.
        """
        now, count = time.time(), 0
        for part in self.incoming.iterdir():
            if age(part, now) > WRITING:
                part.unlink(missing_ok=True)
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if path.name not in used and age(path, now) > older:
                path.unlink(missing_ok=True)
                count += 1
        return count


def age(path: Path, now: float) -> float:
    """Seconds since a file was written; 0 for one that is gone."""
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def sent_size(picture: Bytes) -> tuple[int, int]:
    """Width and height in pixels that a picture will have when it is opened, from its header alone.

    Raises:
        ValueError: it is no picture, or has too many pixels.
    """
    with open_lazily(picture, photo=True) as image:
        if image.format != "PNG" or "exif" in image.info:
            return upright_size(picture, photo=True)
        scale = photo_scale(image.size)  # Pillow decodes a PNG to look for a late EXIF
        return -(-image.width // scale), -(-image.height // scale)


def decode_sent(content: bytes) -> Image.Image:
    """A picture that somebody sent.

    Raises:
        InputError: it is damaged.
    """
    try:
        return decode(Bytes(content), photo=True)
    except ValueError as error:
        raise InputError(str(error), field="image") from error


def png_bytes(image: Image.Image) -> bytes:
    """A picture as PNG, in its own mode and without metadata."""
    buffer, bare = io.BytesIO(), image.copy()
    bare.info = {}
    bare.save(buffer, "PNG")
    return buffer.getvalue()
