"""The manifest of a prepared folder: with what it was made, and what each shard must be."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zeroconv.data.prepared.json_file import read_rows_json, write_rows_json
from zeroconv.data.prepared.stored_views import ViewSettings, describe_views
from zeroconv.errors import InputError, shorten

__all__ = [
    "AGAIN", "VIEWS", "WHOLE", "Settings", "ShardEntry", "check_ours", "describe", "describe_content", "is_prepared",
    "read_manifest", "write_manifest",
]  # fmt: skip

MANIFEST, FORMAT = "manifest.json", "zeroconv prepared pairs"
WHOLE, VIEWS = 1, 2  # versions of the layout: of whole pictures, and of views
AGAIN = "the same `zeroconv data prepare` again makes it whole"
OTHER = "choose another --out, or --fresh to begin anew"


@dataclass(frozen=True)
class Settings:
    """All that the numbers in a prepared folder depend on beside its pairs.

    Attributes:
        source: the data set, as it was given.
        pairs: how many it has.
        shard_size: rows of a shard; the last one may have fewer.
        size: width and height of the pictures in pixels; of views those of the square, whose area no bucket exceeds.
        base: whose encoders, as it was given.
        vae: another autoencoder, as it was given.
        encoders: SHA-256 of the "autoencoder" and the "text encoder".
        shapes: of a row's "latents", of a "text", and "pooled" for SDXL.
        condition: whose maps; None where there are none.
        extract: parameters of its extractor.
        maps: whether maps are kept: not where a training draws them anew at every visit.
        dtype: of latents and texts.
        version: of the layout.
        views: which views are kept of each picture; None where it is kept whole.
    """

    source: str
    pairs: int
    shard_size: int
    size: tuple[int, int]
    base: str
    vae: str | None
    encoders: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    condition: str | None = None
    extract: Mapping[str, Any] = field(default_factory=dict[str, Any])
    maps: bool = False
    dtype: str = "float16"
    version: int = WHOLE
    views: ViewSettings | None = None

    @property
    def shards(self) -> int:
        """How many shards it has."""
        return -(-self.pairs // self.shard_size)

    def rows(self, number: int) -> range:
        """The rows of a shard."""
        return range(number * self.shard_size, min(self.pairs, (number + 1) * self.shard_size))

    def to_json(self) -> dict[str, Any]:
        """Plain values; of whole pictures as they were before there were views."""
        return {key: value for key, value in asdict(self).items() if key != "views" or value is not None}

    def digest(self) -> str:
        """SHA-256 of what a shard's numbers depend on; not of how many pairs there are, which may become more."""
        values = {key: value for key, value in self.to_json().items() if key not in ("source", "pairs", "base", "vae")}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def check_views(self, asked: ViewSettings | None, folder: Path) -> None:
        """Refuse to go on with other views; arguments and errors as `check_same`."""
        if self.views != asked:
            what = f"{folder} was prepared with {describe_views(self.views)}, now {describe_views(asked)} are asked for"
            raise InputError(what, field="crops", hint=OTHER)

    def check_same(self, asked: "Settings", folder: Path) -> None:
        """Refuse to go on with other settings.

        Args:
            asked: those that are asked for now.
            folder: where these were found.

        Raises:
            InputError: naming the first that differs.
        """
        for name in ("version", "source", "encoders", "size", "condition", "extract", "maps", "shard_size", "shapes"):
            old, new = getattr(self, name), getattr(asked, name)
            if old == new:
                continue
            what = f"{folder} was prepared with {name} {old!r}, now {new!r} is asked for"
            if name == "encoders":
                part = next(part for part in new if old.get(part) != new[part])
                what = f"{folder} was prepared with another {part} ({describe(self)}) than that of {describe(asked)}"
            raise InputError(shorten(what, 400), field=name, hint=OTHER)


def describe(settings: Settings) -> str:
    """The base, and the autoencoder that takes the place of its own."""
    return settings.base if settings.vae is None else f"{settings.base} with {settings.vae}"


@dataclass(frozen=True)
class ShardEntry:
    """What the manifest says of a shard.

    Attributes:
        file: its name in the folder.
        rows: the first, and the one behind the last.
        sha256: of the file.
        index_sha256: of its index.
        bytes: of the file.
        listing: SHA-256 of the names and captions of its rows.
        broken: rows that cannot be used, counted from 0 in the whole data set, each with the reason.
        buckets: of how many pairs the views are in each bucket, such as {"640x448": 12}; none where pictures are kept whole.
        views: how many there are.
    """

    file: str
    rows: tuple[int, int]
    sha256: str
    index_sha256: str
    bytes: int
    listing: str
    broken: Mapping[str, str]
    buckets: Mapping[str, int] = field(default_factory=dict[str, int])
    views: int = 0

    def __post_init__(self) -> None:
        first, last = self.rows  # a list, where they come from JSON
        object.__setattr__(self, "rows", (first, last))

    def to_json(self) -> dict[str, Any]:
        """Plain values; of whole pictures as they were before there were views."""
        return {key: value for key, value in asdict(self).items() if key not in ("buckets", "views") or value}


def describe_content(settings: Settings, entries: Sequence[ShardEntry]) -> str:
    """What is kept of the pictures of a folder, for a person."""
    if settings.views is None:
        return f"whole pictures of {settings.size[0]}x{settings.size[1]}"
    counts: Counter[str] = sum((Counter(entry.buckets) for entry in entries), Counter())
    listed = ", ".join(f"{bucket} ({count})" for bucket, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])))
    return f"{settings.views}: {sum(entry.views for entry in entries)} views of pictures in {listed}"


def is_prepared(folder: str | Path) -> bool:
    """Whether a folder is one of `prepare`'s."""
    return (Path(folder) / MANIFEST).is_file()


def check_ours(folder: Path) -> None:
    """Refuse a folder whose manifest, or a file that a shard would replace, is another program's.

    Raises:
        InputError: naming the file.
    """
    foreign: list[Path] = []
    for path in (folder / MANIFEST, *sorted(folder.glob("shard-*.json"))):
        with suppress(OSError, ValueError):  # not there, or damaged: nobody can tell whose it was
            found = read_rows_json(path)
            if path.name == MANIFEST and found.get("format") == FORMAT:
                return
            if path.name == MANIFEST or "made_with" not in found:
                foreign.append(path)
    if foreign:
        raise InputError(f"{foreign[0]} is another program's", field="out", hint="name another folder")


def write_manifest(folder: Path, settings: Settings, shards: Sequence[ShardEntry] | None) -> None:
    """Write the manifest, whole or not at all.

    Args:
        folder: where.
        settings: of the folder.
        shards: all of them; None while they are being made.

    Raises:
        OSError: when it cannot be written.
        InputError: when it is too long to be read again.
    """
    found = None if shards is None else [shard.to_json() for shard in shards]
    values = {"format": FORMAT, **settings.to_json(), "complete": shards is not None, "shards": found or []}
    write_rows_json(folder / MANIFEST, values, indent=1)


def read_manifest(folder: Path) -> tuple[Settings, list[ShardEntry] | None]:
    """Settings and shards; None in place of the shards while they are being made.

    Raises:
        InputError: when it is not there, damaged, or of a later version.
    """
    path = folder / MANIFEST
    try:
        values = read_rows_json(path)
        if values.pop("format", None) != FORMAT:
            raise InputError(f"{path} is another program's", field="data.cache", hint="name another folder")
        if values["version"] not in (WHOLE, VIEWS):
            raise InputError(
                f"{path} has version {values['version']}; this zeroconv reads {WHOLE} and {VIEWS}",
                field="data.cache",
                hint="prepare it again with --fresh",
            )
        complete, shards = values.pop("complete"), values.pop("shards")
        values["size"] = tuple(values["size"])
        values["shapes"] = {key: tuple(shape) for key, shape in values["shapes"].items()}
        values["views"] = ViewSettings(**values["views"]) if "views" in values else None
        settings = Settings(**values)
        entries = [ShardEntry(**shard) for shard in shards]
    except FileNotFoundError as error:
        raise InputError(f"{folder} is no prepared folder: it has no {MANIFEST}", field="data.cache") from error
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged", field="data.cache", hint="prepare it again with --fresh") from error
    if complete and [entry.rows for entry in entries] != [edges(settings.rows(number)) for number in range(settings.shards)]:
        raise InputError(f"{path} is damaged: rows are missing", field="data.cache", hint="prepare it again with --fresh")
    return settings, entries if complete else None


def edges(rows: range) -> tuple[int, int]:
    """The first row, and the one behind the last."""
    return rows.start, rows.stop
