"""Where the members of a tar lie: its headers read once, kept beside it, and never extracted."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.data.file_part import Stamp, read_at, stamp_of
from zeroconv.data.listing import decode_bytes
from zeroconv.errors import InputError, shorten

__all__ = ["INDEX_ENDING", "TEXTS", "Member", "list_members"]

INDEX_ENDING, VERSION = ".index.json", 1
BLOCK = 512
LONGEST_TEXT = 2**20  # bytes of a caption, or of a header's long names
TEXTS = ("txt", "caption", "text", "json")
"""Members with these endings are read when the tar is listed."""
FILES = (b"0", b"\0", b"7")
REFUSED = {b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"6": "a pipe", b"S": "a sparse file"}
COMPRESSED = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip", b"Rar!": "rar", b"7z\xbc\xaf": "7z",
}  # fmt: skip
OUTSIDE = re.compile(r"\A[/\\]|\A[A-Za-z]:|(?:\A|[/\\])\.\.(?:[/\\]|\Z)|\0")
"""Absolute, on a drive of Windows, or with a step up."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a tar.

    Attributes:
        name: its path there.
        offset: its first byte.
        size: in bytes.
        text: what it holds, where its ending says that it is text.
    """

    name: str
    offset: int
    size: int
    text: str | None = None


def list_members(path: Path) -> tuple[list[Member], Stamp]:
    """The files in a tar, in their order, and the stamp of the tar that they were found in.

    They are kept in `NAME.tar.index.json` beside it, which counts as long as the tar keeps its size and time of change;
    where nothing can be written they are found anew each time.

    Raises:
        InputError: for what is no whole, uncompressed tar of plain files with paths that stay inside.
    """
    try:
        stamp, index = stamp_of(path), path.with_name(path.name + INDEX_ENDING)
        members = read_index(index, stamp)
        if members is None:
            members = list(scan(path))
            if stamp_of(path) != stamp:
                raise refuse(path, "changed while it was read", "start again when it is written")
            with suppress(OSError):
                write_index(index, stamp, members)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", field="data.source") from error
    return members, stamp


def write_index(path: Path, stamp: Stamp, members: list[Member]) -> None:
    """Keep a list of members.

    Raises:
        OSError: when it cannot be written.
    """
    rows = [[one.name, one.offset, one.size, *([] if one.text is None else [one.text])] for one in members]
    write_text(path, json.dumps({"version": VERSION, "size": stamp.size, "time": stamp.time, "members": rows}))


def read_index(path: Path, stamp: Stamp) -> list[Member] | None:
    """A list that was kept; None without one, of another tar, or where anything in it is not as it is written."""
    try:
        if path.stat().st_size > 2 * stamp.size + LONGEST_TEXT:
            return None
        kept = json.loads(path.read_bytes())
        if (kept["version"], kept["size"], kept["time"]) != (VERSION, stamp.size, stamp.time):
            return None
        members = [as_member(row, stamp) for row in kept["members"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return members if members else None


def as_member(row: Any, stamp: Stamp) -> Member:
    """A row of an index.

    Raises:
        ValueError: or `TypeError`, when it is none.
    """
    name, offset, size, *rest = cast(list[Any], row)
    text = rest[0] if rest else None
    in_place = type(offset) is int and type(size) is int and size >= 0 and BLOCK <= offset <= stamp.size - size
    if len(rest) > 1 or not in_place or not isinstance(name, str) or not isinstance(text, str | None):
        raise ValueError("no member")
    if leads_out(name) or (text is None) == is_text(name):
        raise ValueError("no member")
    name.encode()
    return Member(name, offset, size, text)


def scan(path: Path) -> Iterator[Member]:
    """Every plain file of a tar, from its headers.

    Raises:
        InputError: as `list_members`.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        descriptor, end = file.fileno(), os.fstat(file.fileno()).st_size
        start = read_at(descriptor, 8, 0)
        for mark, kind in COMPRESSED.items():
            if start.startswith(mark):
                raise refuse(path, f"is compressed ({kind}), which leaves no random access", "decompress it to a .tar")
        place, name, size = 0, None, None  # the last two: what an extended header says of the next member
        while True:
            header = read_at(descriptor, BLOCK, place)
            if len(header) < BLOCK:
                what = f"ends at byte {end} without an end mark" if place else "is no tar: it has no header"
                raise refuse(path, what, "it was cut short, copy it again" if place else "expected a .tar of pictures")
            if not any(header):
                return
            kind, found, length = parse_header(header, path, place)
            length = length if size is None or kind not in FILES else size
            data = place + BLOCK
            following = data + -(-length // BLOCK) * BLOCK
            if following > end:
                what = f"ends at byte {end} in the middle of {shorten(name or found)!r}, which ends at byte {following}"
                raise refuse(path, what, "it was cut short, copy it again")
            place = following
            if kind in (b"L", b"x", b"g", b"K"):
                if length > LONGEST_TEXT:
                    raise refuse(path, f"has a header of {length} bytes at byte {data}", "write it anew")
                content = read_at(descriptor, length, data)
                if kind == b"L":
                    name = decode_name(content.rstrip(b"\0"), path, data)
                elif kind != b"K":  # the target of a link, which is refused in its turn
                    said = parse_records(content, path, data)
                    if kind == b"g" and said:
                        raise refuse(path, f"gives all its members one path or size, at byte {data}", "write it anew")
                    name, size = said.get("path", name), int(said["size"]) if "size" in said else size
                continue
            found = plain_name(found if name is None else name)
            if kind in FILES and not found.endswith("/"):
                check_name(found, path)
                text = read_text(descriptor, data, length, found, path) if is_text(found) else None
                yield Member(found, data, length, text)
            elif kind != b"5" and kind not in FILES:
                what = REFUSED.get(kind, f"of type {kind.decode('latin-1')!r}")
                raise refuse(path, f"holds {shorten(found)!r}, {what}", "expected plain files")
            name, size = None, None


def refuse(path: Path, what: str, hint: str) -> InputError:
    """The error about a tar."""
    return InputError(f"{path} {what}", field="data.source", hint=hint)


def parse_header(header: bytes, path: Path, place: int) -> tuple[bytes, str, int]:
    """Type, name and size in bytes of the member that a block announces (POSIX.1-1988, ustar, and GNU's large sizes).

    Raises:
        InputError: when it is no header.
    """
    try:
        kept = int(header[148:156].strip(b" \0") or b"0", 8)
        summed = sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
        if kept != summed:
            raise ValueError("another sum")
        field = header[124:136]
        size = int.from_bytes(field[1:]) if field[0] == 0x80 else int(field.strip(b" \0") or b"0", 8)
        if size < 0 or field[0] == 0xFF:
            raise ValueError("less than nothing")
    except ValueError as error:
        what = f"is damaged at byte {place}: it has no header there" if place else "is no tar: it begins with no header"
        raise refuse(path, what, "copy it again" if place else "expected a .tar of pictures") from error
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return header[156:157], decode_name(prefix + b"/" + name if prefix else name, path, place), size


def decode_name(name: bytes, path: Path, place: int) -> str:
    """A member's name, which must be UTF-8."""
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise refuse(path, f"has a name that is not UTF-8 at byte {place}: {shorten(repr(name))}", "rename it") from error


def parse_records(content: bytes, path: Path, place: int) -> dict[str, str]:
    """What an extended header says of path and size (POSIX.1-2001: lines of "LENGTH KEY=VALUE").

    Raises:
        InputError: when it is no such header, or speaks of a sparse file.
    """
    found: dict[str, str] = {}
    try:
        while content.strip(b"\0"):
            length = int(content[: content.index(b" ", 0, 10)])
            record, content = content[:length], content[length:]
            key, equals, value = record.partition(b" ")[2].partition(b"=")
            if length < 5 or len(record) < length or not equals or not value.endswith(b"\n"):
                raise ValueError("no record")
            if key.startswith(b"GNU.sparse"):
                raise refuse(path, f"holds a sparse file at byte {place}", "expected plain files")
            if key in (b"path", b"size"):
                found[key.decode()] = decode_name(value[:-1], path, place)
        if not found.get("size", "0").isdecimal() or len(found.get("size", "")) > 19:
            raise ValueError("no size")
    except InputError:
        raise
    except ValueError as error:
        raise refuse(path, f"has a damaged extended header at byte {place}", "copy it again") from error
    return found


def plain_name(name: str) -> str:
    """A name without the "./" that `tar` writes."""
    while name.startswith("./"):
        name = name[2:]
    return name


def leads_out(name: str) -> bool:
    """Whether a path leaves the folder it begins in, on any system."""
    return not name or OUTSIDE.search(name) is not None


def check_name(name: str, path: Path) -> None:
    """Refuse a member whose path leads out of the tar."""
    if leads_out(name):
        raise refuse(path, f"holds {shorten(name)!r}", "expected paths inside the tar")


def is_text(name: str) -> bool:
    """Whether a member is read as text."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() in TEXTS


def read_text(descriptor: int, offset: int, size: int, name: str, path: Path) -> str:
    """The text of a member.

    Raises:
        InputError: when it is too long, or not UTF-8.
    """
    if size > LONGEST_TEXT:
        raise refuse(path, f"holds {shorten(name)!r} of {size} bytes", f"expected captions of at most {LONGEST_TEXT} bytes")
    return decode_bytes(read_at(descriptor, size, offset), str(path / name))
