"""One shard made or kept: the work of an engine, the same in whichever process and order it is done."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from zeroconv import conditions
from zeroconv.conditions.parameters import device_parameters
from zeroconv.data.buckets import View
from zeroconv.data.pair_views import show
from zeroconv.data.pairs import Pair, get_map
from zeroconv.data.prepared.encoders import open_encoders
from zeroconv.data.prepared.manifest import Settings, ShardEntry
from zeroconv.data.prepared.packing import EncodedPair, EncodedPicture, pack_rows, png_bytes
from zeroconv.data.prepared.shard_file import ListedRow, Shard, hash_file, read_shard, shard_name, write_listing, write_shard
from zeroconv.data.prepared.source import Source, hash_listing
from zeroconv.data.prepared.stored_views import distinct
from zeroconv.errors import InputError
from zeroconv.images import normalize, to_tensor
from zeroconv.messages import Message, listen

__all__ = ["Done", "ShardMaker", "entry_of"]

ONE_SIZE = "prepare pictures of one size, or with --buckets"


@dataclass(frozen=True)
class Done:
    """A shard that is on the disk.

    Attributes:
        number: of the shard.
        entry: for the manifest.
        kept: whether it was there before.
        heard: what was said about its pairs, by code: about how many, and the first.
    """

    number: int
    entry: ShardEntry
    kept: bool
    heard: Mapping[str, tuple[int, Message]] = field(default_factory=dict[str, tuple[int, Message]])


class ShardMaker:
    """Makes shards. Each row is encoded by itself, so its bits depend on no other row, process or number of processes.

    Args:
        settings: of the whole.
        folder: of the shards.
        device: where is encoded.
    """

    def __init__(self, settings: Settings, folder: Path, device: str = "cpu") -> None:
        self.settings, self.folder, self.device = settings, folder, device
        self.made_with = settings.digest()

    @cached_property
    def source(self) -> Source:
        """The data set, as this process has opened it; what there is to say about it was said before."""
        with listen(lambda _: None):
            return Source(self.settings.source, self.settings.condition)

    @cached_property
    def base(self) -> Any:
        """The encoders, opened when a shard must be made."""
        return open_encoders(self.settings.base, self.settings.vae, self.device)

    def make(self, number: int) -> Iterator[int | Done]:
        """Make a shard, unless it is there and its rows are what they were.

        Args:
            number: of the shard.

        Yields:
            1 after each row that was made; at last the shard.

        Raises:
            OSError: when it cannot be written.
            InputError: when a map cannot be made of any picture, or its captions are longer than can be read again.
        """
        if (kept := self.keep(number)) is not None:
            yield Done(number, kept, kept=True)
            return
        rows, pairs, heard = list[ListedRow](), list[EncodedPair | None](), dict[str, tuple[int, Message]]()
        for index in self.settings.rows(number):
            name, content, problem = self.source.pairs.names[index], self.source.content, None
            key, stamp = content.key(index), content.stamp(index)
            said, made = list[Message](), None
            try:
                with listen(said.append):
                    made = self.encode(self.source.open(index), key)
            except (OSError, ValueError, FloatingPointError) as error:
                problem = str(error)
            pairs.append(made)
            for message in said:
                count, first = heard.get(message.code, (0, message.about(name)))
                heard[message.code] = count + 1, first
            row = ListedRow(name, self.source.captions(index), key, stamp, problem)
            if made is not None and made.parts:
                row = replace(row, bucket=list(made.parts[0][0].bucket), views=len(made.pictures))
            rows.append(row)
            yield 1
        crops = None if self.settings.views is None else self.settings.views.crops
        tensors = pack_rows(pairs, self.settings.shapes, self.settings.maps, crops)
        shard = write_shard(self.folder, number, tensors, rows, self.made_with)
        yield Done(number, entry_of(self.settings, number, shard, self.source), False, heard)

    def keep(self, number: int) -> ShardEntry | None:
        """The shard that is there, if its file is whole and its rows are what they were; None otherwise."""
        shard, path = read_shard(self.folder, number), self.folder / f"{shard_name(number)}.safetensors"
        if shard is None or shard.made_with != self.made_with or len(shard.rows) != len(self.settings.rows(number)):
            return None
        rows = [self.unchanged(index, row) for index, row in zip(self.settings.rows(number), shard.rows, strict=True)]
        fresh = [row for row in rows if row is not None]
        try:
            if len(fresh) < len(rows) or path.stat().st_size != shard.bytes or hash_file(path) != shard.sha256:
                return None
        except OSError:
            return None
        if fresh != shard.rows:  # other times of the files, with the same bytes
            shard = replace(shard, rows=fresh)
            write_listing(self.folder, number, shard)
        return entry_of(self.settings, number, shard, self.source)

    def unchanged(self, index: int, row: ListedRow) -> ListedRow | None:
        """A row with the newest stamp of its files, if neither they nor its caption have changed; None if they have."""
        if (row.name, row.captions) != (self.source.pairs.names[index], self.source.captions(index)):
            return None
        stamp = self.source.content.stamp(index)
        if (stamp is not None and stamp == row.stamp) or self.source.content.key(index) == row.key:
            return replace(row, stamp=stamp)
        return None

    def encode(self, pair: Pair, key: str) -> EncodedPair:
        """The latents, texts and maps of a pair.

        Args:
            pair: which.
            key: hash of its content.

        Raises:
            InputError: for a picture of another size than the others, or one that is smaller than its bucket.
            FloatingPointError: when the encoders give a number that is not finite in half precision.
        """
        parts = self.parts_of(pair, key)
        views = distinct(parts) or [None]
        pictures = [self.encode_picture(pair if view is None else show(pair, view), view) for view in views]
        captions, texts = pair.captions or (pair.caption,), list[dict[str, torch.Tensor]]()
        for caption in captions:
            text = self.base.encode_text([caption])
            states = (
                {"text": text.hidden_states} if text.pooled is None else {"text": text.hidden_states, "pooled": text.pooled}
            )
            texts.append({name: tensor[0].half().cpu() for name, tensor in states.items()})
        latents = [picture.latents for picture in pictures]
        if not all(tensor.isfinite().all() for tensor in (*latents, *(one for text in texts for one in text.values()))):
            raise FloatingPointError(f"pair {pair.name!r}: the encoders give numbers that are not finite in half precision")
        return EncodedPair(pictures, texts, captions, parts)

    def parts_of(self, pair: Pair, key: str) -> list[list[View]]:
        """The views of each part of a pair's picture; none where it is kept whole. Arguments and errors as `encode`."""
        if self.settings.views is not None:
            return self.settings.views.of_pair(pair, key)
        if pair.image.size != self.settings.size:
            (width, height), (w, h) = pair.image.size, self.settings.size
            raise InputError(f"pair {pair.name!r} is {width}x{height}, others {w}x{h}: {ONE_SIZE}")
        return []

    def encode_picture(self, pair: Pair, view: View | None) -> EncodedPicture:
        """The latents and the map of a pair as a view shows it."""
        latents = self.base.encode_images(normalize(to_tensor(pair.image))[None])[0].half().cpu()
        return EncodedPicture(latents, png_bytes(self.map_of(pair)) if self.settings.maps else b"", view)

    def map_of(self, pair: Pair) -> Image.Image:
        """The map of a pair: its own, unless it shall be extracted."""
        assert self.settings.condition is not None
        return get_map(pair, self.settings.condition, self.parameters, self.settings.extract)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Of the extractor; its network runs where the encoders do."""
        assert self.settings.condition is not None
        return {**device_parameters(conditions.get(self.settings.condition), self.device), **self.settings.extract}


def entry_of(settings: Settings, number: int, shard: Shard, source: Source) -> ShardEntry:
    """What the manifest says of a shard."""
    rows = settings.rows(number)
    broken = {str(rows.start + place): problem for place, problem in shard.problems.items()}
    listing = hash_listing(source.pairs, rows)
    buckets = Counter(f"{row.bucket[0]}x{row.bucket[1]}" for row in shard.rows if row.bucket is not None)
    return ShardEntry(
        f"{shard_name(number)}.safetensors", (rows.start, rows.stop), shard.sha256, shard.index_sha256, shard.bytes, listing,
        broken, dict(sorted(buckets.items())), sum(row.views or 0 for row in shard.rows),
    )  # fmt: skip
