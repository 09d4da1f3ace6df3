"""One shard: a safetensors file of rows, and beside it a JSON file that vouches for it.

```
shard-00000.safetensors    latents (n, C, h, w) and text (u, N, D), float16: each text once, whichever rows bear it;
                           SDXL's pooled (u, P); maps, PNG files one after the other, where they are prepared
                           caption_texts (n, k): which text each caption of a row is, -1 behind its last
                           map_ends (n): where the PNG of a row ends
                           row_digests (n, 16), text_digests (u, 16): BLAKE2b of what stands in a row, or in a text
shard-00000.json           the rows, what they were made from, and the SHA-256 of the file above
```

Where views are kept (`ViewSettings`), pictures may be of any size, and in place of `latents` there are

```
latents-640x448            (m, C, h, w), float16: those of the bucket of that width and height, one tensor for each bucket
views (v, 8)               what each view is, and where its latents are (`pack_views`)
view_of (n, crops, 2)      which view shows a part of a pair's picture, as it is and mirrored; -1 for none
may_mirror (n, k)          whether a visit with that caption may see the twins
```

and `map_ends` and `row_digests` have a row for each view.

The JSON is written last, so a shard without it is not there. A digest is compared whenever a row is read; the digests
themselves are hashed in the JSON and in the manifest.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from zeroconv.checkpoints.files.safetensors import write_safetensors
from zeroconv.data.prepared.json_file import read_rows_json, write_rows_json

__all__ = ["INDEX", "ListedRow", "Shard", "hash_file", "hash_index", "read_shard", "shard_name", "write_listing", "write_shard"]

INDEX = ("caption_texts", "map_ends", "row_digests", "text_digests", "views", "view_of", "may_mirror")
"""The tensors that say where everything is and what it must hash to."""


@dataclass(frozen=True)
class ListedRow:
    """What a row was made from.

    Attributes:
        name: of the pair.
        captions: as the list has them.
        key: hash of its files' bytes.
        stamp: see `Stamp`.
        problem: why it cannot be used; then its numbers are zeros, and it has no views.
        bucket: width and height in pixels of the bucket of its views; None where whole pictures are kept.
        views: how many.
    """

    name: str
    captions: list[str]
    key: str
    stamp: list[int] | None = None
    problem: str | None = None
    bucket: list[int] | None = None
    views: int | None = None


@dataclass(frozen=True)
class Shard:
    """What a shard's JSON says.

    Attributes:
        rows: what each was made from.
        sha256: of the safetensors file.
        index_sha256: of its index; see `hash_index`.
        bytes: of the safetensors file.
        made_with: SHA-256 of the settings of the whole cache, so that no shard of another one is taken for its own.
    """

    rows: list[ListedRow]
    sha256: str
    index_sha256: str
    bytes: int
    made_with: str
    problems: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        found = {place: row.problem for place, row in enumerate(self.rows) if row.problem is not None}
        object.__setattr__(self, "problems", found)


def shard_name(number: int) -> str:
    """The name of a shard's files, without their endings."""
    return f"shard-{number:05d}"


def hash_index(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the tensors named in `INDEX`, their shapes too."""
    content = hashlib.sha256()
    for name in INDEX:
        if name in tensors:
            content.update(f"{name} {list(tensors[name].shape)}".encode() + tensors[name].numpy().tobytes())
    return content.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_shard(folder: Path, number: int, tensors: Mapping[str, Tensor], rows: list[ListedRow], made_with: str) -> Shard:
    """Write a shard's two files, each whole or not at all, the JSON last.

    Raises:
        OSError: when one cannot be written, naming it.
        InputError: when the JSON is too long to be read again.
    """
    path = folder / f"{shard_name(number)}.safetensors"
    write_safetensors(path, tensors)
    shard = Shard(rows, hash_file(path), hash_index(tensors), path.stat().st_size, made_with)
    write_listing(folder, number, shard)
    return shard


def write_listing(folder: Path, number: int, shard: Shard) -> None:
    """Write the JSON of a shard.

    Raises:
        OSError: when it cannot be written, naming it.
        InputError: when it is too long to be read again.
    """
    values: dict[str, Any] = {key: value for key, value in asdict(shard).items() if key not in ("rows", "problems")}
    rows = [{key: value for key, value in asdict(row).items() if value is not None} for row in shard.rows]
    write_rows_json(folder / f"{shard_name(number)}.json", {**values, "rows": rows})


def read_shard(folder: Path, number: int) -> Shard | None:
    """What a shard's JSON says; None when it is not there, or cannot be read."""
    try:
        found = read_rows_json(folder / f"{shard_name(number)}.json")
        rows = [ListedRow(**row) for row in found.pop("rows")]
        return Shard(rows, **found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
