"""How many bytes the shards that are missing will take, and whether the disk has them."""

import shutil
from collections.abc import Iterator
from math import prod
from pathlib import Path

from zeroconv.data.pair_views import show
from zeroconv.data.prepared.maker import ShardMaker
from zeroconv.data.prepared.manifest import Settings
from zeroconv.data.prepared.packing import png_bytes
from zeroconv.data.prepared.shard_file import shard_name
from zeroconv.data.prepared.source import Source

__all__ = ["check_room"]

DIGESTS, LISTED = 64, 400  # bytes of a picture beside its numbers: its digests and places, and what the JSON says of its pair
SPARE = 64 * 2**20  # bytes that stay free on the disk


def check_room(settings: Settings, out: Path, maker: ShardMaker) -> None:
    """Refuse a disk on which the shards that are missing have no room.

    Raises:
        OSError: saying how much is needed and how much there is.
    """
    missing = [number for number in range(settings.shards) if not (out / f"{shard_name(number)}.json").exists()]
    rows = sum(len(settings.rows(number)) for number in missing)
    texts = sum(count_texts(settings.rows(number), maker.source) for number in missing)
    text = 2 * sum(prod(shape) for name, shape in settings.shapes.items() if name != "latents")
    pictures = rows * (1 if settings.views is None else settings.views.per_picture)
    needed = pictures * (2 * prod(settings.shapes["latents"]) + DIGESTS) + rows * LISTED + texts * text
    if settings.maps and rows:
        needed += pictures * next(sizes_of_maps(maker), 0)
    free = shutil.disk_usage(next(place for place in (out, *out.absolute().parents) if place.exists())).free
    if rows and free < needed + SPARE:
        raise OSError(f"{out} needs about {needed / 1e6:,.0f} MB, and its disk has {free / 1e6:,.0f} MB free: no room")


def count_texts(rows: range, source: Source) -> int:
    """How many different captions rows have, as far as the list tells."""
    listed = [source.captions(index) for index in rows]
    return len({caption for captions in listed for caption in captions}) + sum(not captions for captions in listed)


def sizes_of_maps(maker: ShardMaker) -> Iterator[int]:
    """Bytes of the maps of pairs that can be used, in order; wrong parameters are noticed by the first."""
    for index in range(len(maker.source)):
        try:
            pair = maker.source.open(index)
            parts = maker.parts_of(pair, "")
            pair = show(pair, parts[0][0]) if parts else pair
        except (OSError, ValueError):
            continue
        yield len(png_bytes(maker.map_of(pair)))
