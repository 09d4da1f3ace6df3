"""Pictures that are no file of their own: a stretch of a file, read where it lies, and a cell of a table."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

__all__ = ["Cell", "FilePart", "Stamp", "check_stamp", "open_descriptor", "read_at", "stamp_of"]

BUFFER = 2**16  # bytes of one reading


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what a file is recognised as the one that was looked at.

    Attributes:
        size: in bytes.
        time: of its last change, in nanoseconds.
    """

    size: int
    time: int


def stamp_of(file: Path | int) -> Stamp:
    """The stamp of a file, or of an open descriptor.

    Raises:
        OSError: when it is not there.
    """
    found = file.stat() if isinstance(file, Path) else os.fstat(file)
    return Stamp(found.st_size, found.st_mtime_ns)


def check_stamp(file: Path | int, stamp: Stamp, path: object) -> None:
    """Refuse a file that is no longer the one that was looked at.

    Args:
        file: the file, or an open descriptor of it.
        stamp: when it was looked at.
        path: what it is called.

    Raises:
        OSError: when it is not there.
        ValueError: when it has changed.
    """
    if stamp_of(file) != stamp:
        raise ValueError(f"{path} has changed since it was listed: start again")


def open_descriptor(path: Path) -> int:
    """A descriptor to read a file by; raises `OSError`."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))


def read_at(descriptor: int, count: int, place: int) -> bytes:
    """At most `count` bytes of a file from one of its bytes on; raises `OSError`."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, count, place)
    os.lseek(descriptor, place, os.SEEK_SET)  # Windows; nobody else has this descriptor
    return os.read(descriptor, count)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A stretch of a file.

    Attributes:
        path: the file.
        offset: its first byte.
        size: in bytes.
        name: unique in the data set.
        stamp: of the file when the place was found.
    """

    path: Path
    offset: int
    size: int
    name: str
    stamp: Stamp

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """The stretch as a file of its own.

        Raises:
            OSError: when the file cannot be opened.
            ValueError: when it is not the one that was looked at.
        """
        return io.BufferedReader(PartReader(self), BUFFER)

    def __str__(self) -> str:
        """For messages."""
        return f"{self.path.parent / self.name}"


class PartReader(io.RawIOBase):
    """Reads a part at its place, so that nothing depends on where another reader of the file is.

    Args:
        part: what to read.

    Raises:
        OSError: when its file cannot be opened.
        ValueError: when it has changed.
    """

    def __init__(self, part: FilePart) -> None:
        self.part, self.place, self.descriptor = part, 0, -1
        self.descriptor = open_descriptor(part.path)
        try:
            check_stamp(self.descriptor, part.stamp, part.path)
        except ValueError:
            self.close()
            raise

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte of the part; returns which."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.part.size}[whence]
        if start + offset < 0:
            raise ValueError(f"byte {start + offset} of {self.part}; expected 0 or more")
        self.place = start + offset
        return self.place

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fill a buffer; returns how many bytes were read."""
        count = max(0, min(len(buffer), self.part.size - self.place))
        data = read_at(self.descriptor, count, self.part.offset + self.place)
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def close(self) -> None:
        """Give the descriptor back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        super().close()


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture in a table.

    Attributes:
        name: unique in the data set.
        where: for messages.
        read: gives the bytes of a row's picture.
        row: which row.
    """

    name: str
    where: str
    read: Callable[[int], bytes] = field(repr=False)
    row: int

    def open(self, mode: Literal["rb"]) -> BinaryIO:
        """The picture as a file.

        Raises:
            OSError: or `ValueError`, when the table cannot be read.
        """
        return io.BytesIO(self.read(self.row))

    def __str__(self) -> str:
        """For messages."""
        return self.where
