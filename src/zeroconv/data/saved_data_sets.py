"""Data sets of the package `datasets`: saved with `save_to_disk`, as Arrow files, or named on the hub."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zeroconv.checkpoints.hub.data_sets import open_data_set
from zeroconv.data.columns import Columns, path_inside
from zeroconv.data.rows import Row, read_entries
from zeroconv.data.tables import ArrowTable, arrow_errors, import_arrow, read_table
from zeroconv.errors import InputError, shorten

__all__ = ["is_saved", "open_arrow", "read_hub", "read_saved"]

STATE, SPLITS = "state.json", "dataset_dict.json"
FILE_MARK = b"ARROW1"  # of Arrow's file format; `datasets` writes its stream format


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (folder / STATE).is_file() or (folder / SPLITS).is_file()


def read_saved(folder: Path, split: str | None, columns: Columns) -> Iterator[Row]:
    """The rows of a data set that was saved.

    Args:
        folder: where.
        split: which of several; if left out "train", or the only one.
        columns: what their names mean.

    Raises:
        InputError: when there is no such split, or a file is not there or damaged.
    """
    if (folder / SPLITS).is_file():
        splits = read_names(folder / SPLITS, "splits")
        chosen = split or ("train" if "train" in splits or len(splits) != 1 else splits[0])
        if chosen not in splits:
            has = shorten(", ".join(splits)) or "none"
            hint = f"write {folder}[SPLIT]"
            raise InputError(f"{folder} has no split {shorten(chosen)!r}; it has {has}", field="data.source", hint=hint)
        folder = path_inside(folder, {"splits": chosen}, "splits", str(folder / SPLITS))
    elif split is not None:
        raise InputError(f"{folder} has no splits, and [{shorten(split)}] is asked for", field="data.source")
    state = folder / STATE
    for name in read_names(state, "_data_files", "filename"):
        path = path_inside(folder, {"filename": name}, "filename", str(state))
        yield from read_entries(read_table(open_arrow(path, name), columns), columns, folder)


def read_names(path: Path, key: str, inner: str | None = None) -> list[str]:
    """A list of names in a JSON file.

    Args:
        path: the file.
        key: of the list.
        inner: the key of each name where the list is one of objects.

    Raises:
        InputError: when there is none.
    """
    try:
        value: Any = json.loads(path.read_bytes())[key]
        names = [one[inner] if inner else one for one in value]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"{path} has no list {key!r}; expected a folder as `save_to_disk` writes it"
        raise InputError(message, field="data.source") from error
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: {key} is {shorten(str(names))}; expected names", field="data.source")
    return names


def open_arrow(path: Path, label: str) -> ArrowTable:
    """An Arrow file, mapped into memory.

    Args:
        path: in Arrow's stream or file format.
        label: of its rows.

    Raises:
        InputError: when pyarrow is not installed, or the file is not there or damaged.
    """
    pa: Any = import_arrow(path)
    with arrow_errors(path):
        mapped = pa.memory_map(str(path))
        mark = mapped.read(len(FILE_MARK))
        mapped.seek(0)
        reader = pa.ipc.open_file(mapped) if mark == FILE_MARK else pa.ipc.open_stream(mapped)
        return ArrowTable(reader.read_all(), str(path), label, path)


def read_hub(name: str, columns: Columns) -> Iterator[Row]:
    """The rows of a data set on the hub.

    Args:
        name: as `open_data_set` takes it.
        columns: what their names mean.

    Raises:
        InputError: as `open_data_set`, or when it has no pictures.
    """
    import_arrow(f"hub:{name}")
    found = open_data_set(name)
    folder, is_here = found.folder, found.folder.is_dir()
    entries = read_table(ArrowTable(found.table, f"hub:{name}", name), columns)
    for row in read_entries(entries, columns, folder, roots=(folder, *found.caches)):
        for file in () if is_here else (row.image, *row.maps.values()):
            if isinstance(file, Path) and file.is_relative_to(folder):
                path = file.relative_to(folder)
                hint = "its pictures must be in it; Hugging Face's image folders take columns called NAME_file_name for them"
                raise InputError(f"{row.where} has only a path, {path}, for a picture", field="data.source", hint=hint)
        yield row
