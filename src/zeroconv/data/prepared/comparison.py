"""Whether a prepared folder is of these pairs, files, views and base: what a run asks before its first step."""

from dataclasses import replace

from zeroconv.data.pairs import Pairs
from zeroconv.data.prepared.encoders import hash_encoders
from zeroconv.data.prepared.manifest import AGAIN, describe
from zeroconv.data.prepared.reader import PreparedCache
from zeroconv.data.prepared.row_content import RowContent
from zeroconv.data.prepared.shard_file import ListedRow, read_shard
from zeroconv.data.prepared.source import captions_of, hash_listing
from zeroconv.data.prepared.stored_views import ViewSettings, describe_views
from zeroconv.errors import InputError, shorten
from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["check_base", "check_files", "check_pairs", "check_views"]

COMPARED = 200  # pairs whose files are read at the beginning of a run, where their times do not tell that they are the same


def check_pairs(cache: PreparedCache, pairs: Pairs) -> None:
    """Refuse a data set that it was not made from.

    Raises:
        InputError: naming the first pair that differs.
    """
    made = f"{cache.folder} was prepared from {cache.settings.source!r}"
    if len(pairs) != cache.settings.pairs:
        raise InputError(
            f"{made} with {cache.settings.pairs} pairs, the data set has {len(pairs)}",
            field="data.cache",
            hint="prepare it again, or name another data.cache",
        )
    for number, entry in enumerate(cache.entries):
        if hash_listing(pairs, cache.settings.rows(number)) != entry.listing:
            raise InputError(
                f"{made}{tell_difference(cache, pairs, number)}",
                field="data.cache",
                hint="prepare it again, or name another data.cache",
            )


def check_files(cache: PreparedCache, pairs: Pairs) -> None:
    """Refuse pictures, and maps that were prepared with them, whose bytes are others than those that were encoded.

    Files of the same size and time are not read. Of the others, and of pictures in tables, `COMPARED` are read, evenly
    spread; it is said when there are more. Files may be missing: where maps are prepared nobody needs them.

    Args:
        cache: the prepared folder.
        pairs: the data set, of the same list (`check_pairs`).

    Raises:
        InputError: naming the first pair that differs.
    """
    content, newer = RowContent(pairs, cache.settings.condition), list[tuple[int, ListedRow]]()
    for number in range(len(cache.entries)):
        rows, shard = cache.settings.rows(number), read_shard(cache.folder, number)
        if shard is None or len(shard.rows) != len(rows):
            raise cache.damaged(rows.start)
        for index, row in zip(rows, shard.rows, strict=True):
            stamp = content.stamp(index)
            if stamp != row.stamp if stamp is not None else not content.is_missing(index):
                newer.append((index, row))
    for index, row in newer[:: -(-len(newer) // COMPARED) or 1]:
        if content.key(index) != row.key:
            raise InputError(
                f"{cache.folder} was prepared from another picture or map than that of {shorten(row.name)!r} now",
                field="data.cache",
                hint=AGAIN,
            )
    if len(newer) > COMPARED:
        count = f"{len(newer)} pairs have files of another time than when {cache.folder} was prepared, or lie in tables"
        told = f"{count}: some {COMPARED} of them were compared and are the same"
        tell(Message(told, "data.compared", "info"))


def tell_difference(cache: PreparedCache, pairs: Pairs, number: int) -> str:
    """Which pair of a shard is not the one it was made from."""
    shard = read_shard(cache.folder, number)
    for index, row in zip(cache.settings.rows(number), () if shard is None else shard.rows, strict=False):
        if row.name != pairs.names[index]:
            return f": pair {index} was {shorten(row.name)!r} there and is {shorten(pairs.names[index])!r}"
        if row.captions != captions_of(pairs, index):
            return f": the caption of {shorten(row.name)!r} has changed"
    return ", whose pairs have changed"


def check_views(cache: PreparedCache, asked: ViewSettings | None) -> None:
    """Refuse a training of other views than those it keeps; mirrored ones need not be asked for.

    Args:
        cache: the prepared folder.
        asked: those that it sees; None where it sees whole pictures.

    Raises:
        InputError: saying both.
    """
    kept = cache.views
    spare = kept is not None and kept.flip  # mirrored ones, where none are asked for
    if kept != (replace(asked, flip=True) if asked is not None and spare else asked):
        hint = "leave out buckets" if kept is None else f"take `{kept.as_settings}`"
        raise InputError(
            f"{cache.folder} holds {describe_views(kept)}; {describe_views(asked)} are asked for",
            field="data.cache",
            hint=f"{hint}, or name another data.cache",
        )


def check_base(cache: PreparedCache, base: StableDiffusion, size: tuple[int, int]) -> None:
    """Refuse a base whose encoders it was not made with, and whole pictures of another size.

    Raises:
        InputError: naming the part, or the sizes.
    """
    if cache.views is None and size != cache.size:
        (width, height), (w, h) = cache.size, size
        raise InputError(
            f"{cache.folder} was prepared for pictures of {width}x{height}, they are {w}x{h}",
            field="data.cache",
            hint="prepare it again with --fresh, or name another data.cache",
        )
    found = hash_encoders(base)
    for part, made in cache.settings.encoders.items():
        if found.get(part) != made:
            raise InputError(
                f"{cache.folder} was prepared with another {part} ({describe(cache.settings)}) than that of {base.name}",
                field="data.cache",
                hint="prepare the data set with this base, or name another data.cache",
            )
