"""The list of a data set as objects, each with its place: JSON lines, one JSON array, or CSV, in UTF-8 or refused."""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zeroconv.errors import InputError, shorten
from zeroconv.messages import Message, tell

__all__ = ["Entry", "decode", "decode_bytes", "guess_encoding", "read_listing", "tell_lost_letters"]

Entry = tuple[dict[str, Any], str]
"""One object of a list, and its place for messages: "pairs/metadata.jsonl, line 3"."""

MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)  # fmt: skip
HIGH_BYTES = re.compile(rb"[\x80-\xff]+")
SPACE = re.compile(r"[ \t\n\r]*")
REPLACED = "\ufffd"  # what other programs leave where they could not decode


def read_listing(path: Path) -> Iterator[Entry]:
    """The objects of a file: CSV by its name, else a JSON array if it begins with a bracket, else JSON lines.

    Raises:
        InputError: naming file and line, when the text is not UTF-8 or a line is no object.
    """
    text = decode(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        return read_csv(text, path)
    return read_array(text, path) if text.lstrip().startswith("[") else read_lines(text, path)


def decode(path: Path) -> str:
    r"""The text of a file in UTF-8, with or without a byte order mark, its lines ended by "\n".

    Raises:
        InputError: for another encoding, naming the line and the likely one, or a file that cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", field="data.source") from error
    text = decode_bytes(data, str(path))
    tell_lost_letters(text, str(path))
    return text


def decode_bytes(data: bytes, path: str) -> str:
    """The same of a text's bytes.

    Args:
        data: the bytes.
        path: what they are called in messages.

    Raises:
        InputError: for another encoding.
    """
    for mark, name in MARKS:
        if data.startswith(mark):
            raise refuse_encoding(path, 1, name)
    if data[:2].count(0) == 1:  # the second letter of a list is ASCII in every layout
        raise refuse_encoding(path, 1, "UTF-16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse_encoding(path, line_of(data, error.start), guess_encoding(data)) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def tell_lost_letters(text: str, path: str) -> None:
    """Say so when a text holds the mark of letters that could not be decoded once.

    Args:
        text: as `decode` gives it.
        path: what it is called in messages.
    """
    if REPLACED in text:
        line = text.count("\n", 0, text.index(REPLACED)) + 1
        tell(
            Message(
                f"{path}, line {line}: captions or names hold U+FFFD ({text.count(REPLACED)} times), letters that were lost "
                "when the file was written: write it anew from its source",
                "data.lost-letters",
            )
        )


def line_of(data: bytes, place: int) -> int:
    """The line of a byte, counted from 1, whichever ends the lines have."""
    return len(re.findall(rb"\r\n|\r|\n", data[:place])) + 1


def refuse_encoding(path: str, line: int, name: str) -> InputError:
    """The error for a file that is not UTF-8."""
    return InputError(
        f"{path}, line {line}: not UTF-8, probably {name}",
        field="data.source",
        hint=f"save it as UTF-8, for example with `iconv -f {name} -t UTF-8`",
    )


def guess_encoding(data: bytes) -> str:
    """The likely encoding of text that is not UTF-8, as `iconv` names it.

    Single letters beyond ASCII between ASCII ones are Western; long runs are Cyrillic if nearly all of their bytes lie
    where Windows' Cyrillic has its letters, and otherwise the first encoding of East Asia that decodes all of them.
    """
    runs = HIGH_BYTES.findall(data)
    letters = b"".join(runs)
    if not letters or sum(map(len, runs)) < 2 * len(runs):
        # a run of a Japanese or Chinese text may be one lead byte before an ASCII one; a Western one mostly is one letter
        return next((name for name in ("SHIFT_JIS",) if is_kana(data, name)), "CP1252")
    common = sum(0xB0 <= lead <= 0xD7 for run in runs for lead in run[::2])  # frequent characters of GBK
    if sum(letter >= 0xE0 for letter in letters) > 0.6 * len(letters):
        return "CP1251"
    if is_kana(data, "SHIFT_JIS"):
        return "SHIFT_JIS"
    names = ("GBK", "EUC-KR", "BIG5") if common >= 0.5 * sum(map(len, runs)) / 2 else ("BIG5", "GBK", "EUC-KR")
    return next((name for name in names if can_decode(data, name)), "CP1252")


def is_kana(data: bytes, name: str) -> bool:
    """Whether text decodes, and a good part of what is not ASCII is Japanese kana."""
    try:
        found = [letter for letter in data.decode(name) if letter > "\x7f"]
    except UnicodeDecodeError:
        return False
    return sum("\u3040" <= letter <= "\u30ff" for letter in found) > 0.3 * len(found)


def can_decode(data: bytes, name: str) -> bool:
    """Whether bytes are text in an encoding."""
    try:
        data.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def read_lines(text: str, path: Path) -> Iterator[Entry]:
    """One object a line; empty lines are passed over."""
    # `splitlines` would also break a caption at the rarer line ends that JSON allows inside a string, such as U+2028.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where} is not valid JSON", field="data.source") from error
            yield as_object(value, where), where


def read_array(text: str, path: Path) -> Iterator[Entry]:
    """The objects of one array, each with the line it begins in."""
    decoder, place, line, seen = json.JSONDecoder(), text.index("[") + 1, 1, 0
    expected, closed = ",", "]"
    place = skip(text, place)
    while place < len(text) and text[place] != closed:
        line, seen = line + text.count("\n", seen, place), place
        where = f"{path}, line {line}"
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not valid JSON", field="data.source") from error
        yield as_object(value, where), where
        place = skip(text, place)
        if text[place : place + 1] == expected:
            place = skip(text, place + 1)
        elif place < len(text) and text[place] != closed:
            line += text.count("\n", seen, place)
            raise InputError(f"{path}, line {line} is not valid JSON: the array goes on without a comma", field="data.source")
    if place >= len(text):
        raise InputError(f"{path}, line {text.count(chr(10)) + 1}: the array is not closed", field="data.source")
    if text[place + 1 :].strip():
        line = text.count("\n", 0, skip(text, place + 1)) + 1
        raise InputError(f"{path}, line {line} is not valid JSON: text after the array", field="data.source")


def skip(text: str, place: int) -> int:
    """Where the next letter stands that is no space."""
    found = SPACE.match(text, place)
    return found.end() if found else place


def as_object(value: Any, where: str) -> dict[str, Any]:
    """A value that must be a JSON object."""
    if not isinstance(value, dict):
        raise InputError(f"{where} is {type(value).__name__}; expected an object", field="data.source")
    return value


def read_csv(text: str, path: Path) -> Iterator[Entry]:
    """The rows of a table with a header, separated by commas, semicolons or tabs; an empty cell is None."""
    header = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    names, line = list[str](), 1
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise InputError(f"{path}, line {rows.line_num} is not valid CSV: {error}", field="data.source") from error
        if row is None:
            return
        where, line = f"{path}, line {line}", rows.line_num + 1
        if not names:
            names = [name.strip() for name in row]
        elif any(cell.strip() for cell in row):
            if len(row) != len(names):
                found = f"{where} has {len(row)} cells and the header {len(names)}: {shorten(', '.join(row))}"
                raise InputError(found, field="data.source", hint="put cells with commas in double quotes")
            yield {name: cell or None for name, cell in zip(names, row, strict=True)}, where
