"""Whether every shard of a prepared folder is what its manifest says."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zeroconv.data.prepared.manifest import AGAIN, describe_content, read_manifest
from zeroconv.data.prepared.shard_file import hash_file, read_shard
from zeroconv.data.prepared.stored_views import ViewSettings
from zeroconv.errors import InputError

__all__ = ["Verified", "verify"]


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        pairs: of the data set.
        broken: of these, pairs that cannot be used.
        shards: how many.
        bytes: of all shards.
        problems: one line for each shard that is not what it must be.
        content: what is kept of the pictures, for a person.
        views: which views; None where pictures are kept whole.
        buckets: how many pairs lie in each bucket of these.
    """

    pairs: int
    broken: int
    shards: int
    bytes: int
    problems: list[str]
    content: str
    views: ViewSettings | None
    buckets: Mapping[str, int]


def verify(folder: Path, report: Callable[[int, int], None] = lambda *_: None) -> Verified:
    """Hash every byte of a prepared folder.

    Args:
        folder: of `prepare`.
        report: called with (shards, of how many).

    Raises:
        InputError: when it is none, its manifest is damaged, or it is not finished.
    """
    settings, entries = read_manifest(folder)
    if entries is None:
        raise InputError(f"{folder} is not finished", field="data.cache", hint=AGAIN)
    problems: list[str] = []
    for number, entry in enumerate(entries):
        path, shard = folder / entry.file, read_shard(folder, number)
        try:
            found = hash_file(path)
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror}")
        else:
            if found != entry.sha256:
                problems.append(f"{path} is damaged")
            elif shard is None or shard.sha256 != entry.sha256:
                problems.append(f"{path.with_suffix('.json')} is damaged")
        report(number + 1, len(entries))
    broken = sum(len(entry.broken) for entry in entries)
    size, buckets = sum(entry.bytes for entry in entries), Counter[str]()
    for entry in entries:
        buckets.update(entry.buckets)
    content = describe_content(settings, entries)
    return Verified(settings.pairs, broken, len(entries), size, problems, content, settings.views, dict(buckets))
