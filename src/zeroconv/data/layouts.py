"""The layouts that people's data has, told apart by what is there; each gives the same rows."""

import re
from collections.abc import Iterator
from pathlib import Path

from zeroconv.data.columns import Columns
from zeroconv.data.folder_tree import find_files, read_caption_file
from zeroconv.data.listing import read_listing
from zeroconv.data.parquet import ParquetTable
from zeroconv.data.rows import Row, read_entries, tell_repeated, tell_unknown
from zeroconv.data.saved_data_sets import is_saved, open_arrow, read_hub, read_saved
from zeroconv.data.shards import expand_braces, read_shards
from zeroconv.data.tables import read_table
from zeroconv.errors import InputError, shorten
from zeroconv.messages import Message, tell

__all__ = ["read_rows"]

TUTORIAL, LISTS = "prompt.json", ("metadata.jsonl", "metadata.csv", "metadata.json")
LIST_ENDINGS = (".jsonl", ".json", ".csv", ".tsv")
PACKED = re.compile(r".*\.(tar\.\w+|tgz|tbz2?|txz|zip)", re.IGNORECASE)
HUB = "hub:"
EXPECTED = "a folder, a .parquet, .tar or .csv file, hub:owner/name, or world:COUNT"
SPLIT = re.compile(r"(?P<place>.+)\[(?P<split>[\w.-]+)\]")
PART = re.compile(r"(train|test|validation|valid|val|dev|eval)(?=[-_.0-9]|$)", re.IGNORECASE)
"""What the name of a file, or of its folder, begins with when it is a split."""


def read_rows(spec: str | Path) -> list[Row]:
    """Every pair of a data set; pictures are not opened.

    ```
    pairs/             prompt.json (source, target, prompt), or metadata.jsonl, .csv or .json (file_name, text, a column per
                       condition); what `save_to_disk` writes; parquet files; tars; or pictures with .txt files beside them
    pairs.parquet      or .arrow, .csv, .tsv, .jsonl, .json: the same columns
    pairs.tar          or pairs-{000..003}.tar: the members of a sample share their path up to the first dot
    hub:owner/name     on the Hugging Face hub
    ```

    A folder or name with several splits is read as far as its split "train", or the one in brackets: `pairs[test]`. Columns
    that nothing is made of, and pictures listed twice, are told.

    Raises:
        InputError: when it is not there, no layout is recognised, it is empty, or a row is broken.
    """
    text, columns = str(spec), Columns()
    rows = list(read_hub(text.removeprefix(HUB), columns) if text.startswith(HUB) else read_place(text, columns))
    tell_unknown(columns)
    if not rows:
        raise InputError(f"{spec} lists no pairs", field="data.source")
    tell_repeated(rows)
    return rows


def read_place(spec: str, columns: Columns) -> Iterator[Row]:
    """The rows of a folder, a file, or files that one name stands for."""
    path, found = Path(spec), SPLIT.fullmatch(spec)
    if found is not None and not path.exists():
        path = Path(found["place"])
        return read_folder(path, found["split"], columns)
    if (shards := expand_braces(spec)) is not None and not path.exists():
        return read_entries(read_shards(shards, columns), columns, path.parent)
    return read_file(path, columns) if path.is_file() else read_folder(path, None, columns)


def read_file(path: Path, columns: Columns) -> Iterator[Row]:
    """The rows of one file, by its ending.

    Raises:
        InputError: for another ending.
    """
    ending = path.suffix.lower()
    if ending == ".tar" or PACKED.fullmatch(path.name):
        return read_entries(read_shards([path], columns), columns, path.parent)
    if ending == ".parquet":
        return read_parquet(path.parent, [path], columns)
    if ending == ".arrow":
        return read_entries(read_table(open_arrow(path, path.name), columns), columns, path.parent)
    if ending in LIST_ENDINGS:
        return read_list(path, columns)
    raise InputError(f"{path} is a file of no known ending; expected {EXPECTED}", field="data.source")


def read_folder(folder: Path, split: str | None, columns: Columns) -> Iterator[Row]:
    """The rows of a folder in the first layout that it has.

    Raises:
        InputError: when it is not there, or has none; a split is asked for where there are none.
    """
    if not folder.is_dir():
        owner_name = re.fullmatch(r"[\w-]+/[\w.-]+", str(folder), re.ASCII)
        hint = f"if it is on the Hugging Face hub, write hub:{folder}" if owner_name else None
        raise InputError(f"no data folder at {folder}; expected {EXPECTED}", field="data.source", hint=hint)
    found = next((path for name in (TUTORIAL, *LISTS) if (path := folder / name).is_file()), None)
    if found is None and is_saved(folder):
        return read_saved(folder, split, columns)
    if found is None and (files := files_of(folder, "parquet", split)):
        return read_parquet(folder, files, columns)
    if found is None and (files := files_of(folder, "tar", split)):
        return read_entries(read_shards(files, columns), columns, folder)
    if split is not None:
        raise InputError(f"{folder} has no splits, and [{shorten(split)}] is asked for", field="data.source")
    return read_tree(folder) if found is None else read_list(found, columns)


def files_of(folder: Path, ending: str, split: str | None) -> list[Path]:
    """The files of a folder, or of the folders in it, that belong to a split.

    Args:
        folder: where.
        ending: of the files.
        split: which; if left out "train" where file names tell several apart, and otherwise all.

    Raises:
        InputError: when there are files and none of the split.
    """
    files = [*folder.glob(f"*.{ending}"), *folder.glob(f"*/*.{ending}")]
    files = sorted(path for path in files if path.is_file() and not path.name.startswith("."))
    splits = {path: split_of(path, folder) for path in files}
    several = sorted({name for name in splits.values() if name})
    if not files or (split is None and len(several) < 2):
        return files
    chosen = split or "train"
    found = [path for path, name in splits.items() if name == chosen]
    if not found:
        has = ", ".join(several) or "none"
        hint = f"write {folder}[SPLIT]" if several else "leave it out"
        raise InputError(f"{folder} has no split {shorten(chosen)!r}; it has {has}", field="data.source", hint=hint)
    if split is None:
        text = f"{folder} has the splits {', '.join(several)}: {chosen} is read, {folder}[SPLIT] another"
        tell(Message(text, "data.split", "info"))
    return found


def split_of(path: Path, folder: Path) -> str | None:
    """The split that a file's name, or that of the folder it lies in, begins with."""
    names = [path.stem] if path.parent == folder else [path.stem, path.parent.name]
    found = next((match for name in names if (match := PART.match(name))), None)
    return found[1].lower() if found else None


def read_parquet(folder: Path, paths: list[Path], columns: Columns) -> Iterator[Row]:
    """The rows of parquet files, whose pictures may be paths relative to the file."""
    for path in paths:
        table = ParquetTable(path, path.relative_to(folder).as_posix())
        yield from read_entries(read_table(table, columns), columns, path.parent)


def read_list(path: Path, columns: Columns) -> Iterator[Row]:
    """The pairs of a list."""
    tutorial = path.name == TUTORIAL
    if tutorial:
        columns.prefer("target")
    return read_entries(read_listing(path), columns, path.parent, "source" if tutorial else None)


def read_tree(folder: Path) -> Iterator[Row]:
    """The pairs of a folder without a list.

    Raises:
        InputError: when it holds no pictures.
    """
    empty = True
    for path, maps in find_files(folder):
        empty = False
        yield Row(str(path.relative_to(folder)), path, (read_caption_file(path),), maps, str(path))
    if empty:
        raise InputError(
            f"{folder} has neither metadata.jsonl (lines with file_name, text and a column per condition) "
            "nor prompt.json (lines with source, target, prompt), metadata.csv, parquet files, tars, or pictures with captions "
            "in .txt files",
            field="data.source",
        )
