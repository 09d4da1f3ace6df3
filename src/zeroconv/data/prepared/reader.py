"""A prepared folder as training reads it: mapped, never written, every row compared with its digest."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zeroconv import conditions
from zeroconv.checkpoints.files.safetensors import read_safetensors
from zeroconv.conditions.parameters import without_device
from zeroconv.data.pairs import Pairs
from zeroconv.data.prepared.encoders import hash_encoders
from zeroconv.data.prepared.manifest import AGAIN, describe, read_manifest
from zeroconv.data.prepared.row_content import RowContent
from zeroconv.data.prepared.shard_file import ListedRow, digest, hash_index, read_shard
from zeroconv.data.prepared.source import captions_of, hash_listing
from zeroconv.errors import InputError, shorten
from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion import PromptEncoding, StableDiffusion

__all__ = ["PreparedCache"]

COMPARED = 200  # pairs whose files are read at the beginning of a run, where their times do not tell that they are the same


class PreparedCache:
    """Latents, texts and maps by the number of a pair. Any number of processes may read one folder.

    Args:
        folder: of `prepare`.

    Raises:
        InputError: when it is none, is damaged or not finished.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings, entries = read_manifest(folder)
        if entries is None:
            raise InputError(f"{folder} is not finished", field="data.cache", hint=AGAIN)
        self.entries = entries
        self.opened: dict[int, dict[str, Tensor]] = {}

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures in pixels."""
        return self.settings.size

    @property
    def broken(self) -> dict[int, str]:
        """What is wrong with pairs that cannot be used, by their number."""
        return {int(row): problem for entry in self.entries for row, problem in entry.broken.items()}

    def has_maps(self, condition: str, extract: Mapping[str, Any]) -> bool:
        """Whether it keeps the maps of a condition, made as they are asked for."""
        same = without_device(self.settings.extract) == without_device(extract)
        return self.settings.maps and self.settings.condition == conditions.get(condition).name and same

    def check_pairs(self, pairs: Pairs) -> None:
        """Refuse a data set that it was not made from.

        Raises:
            InputError: naming the first pair that differs.
        """
        made = f"{self.folder} was prepared from {self.settings.source!r}"
        if len(pairs) != self.settings.pairs:
            raise InputError(
                f"{made} with {self.settings.pairs} pairs, the data set has {len(pairs)}",
                field="data.cache",
                hint="prepare it again, or name another data.cache",
            )
        for number, entry in enumerate(self.entries):
            if hash_listing(pairs, self.settings.rows(number)) != entry.listing:
                raise InputError(
                    f"{made}{self.difference(pairs, number)}",
                    field="data.cache",
                    hint="prepare it again, or name another data.cache",
                )

    def check_files(self, pairs: Pairs) -> None:
        """Refuse pictures, and maps that were prepared with them, whose bytes are others than those that were encoded.

        Files of the same size and time are not read. Of the others, and of pictures in tables, `COMPARED` are read, evenly
        spread; it is said when there are more. Files may be missing: where maps are prepared nobody needs them.

        Args:
            pairs: the data set, of the same list (`check_pairs`).

        Raises:
            InputError: naming the first pair that differs.
        """
        content, newer = RowContent(pairs, self.settings.condition), list[tuple[int, ListedRow]]()
        for number in range(len(self.entries)):
            rows, shard = self.settings.rows(number), read_shard(self.folder, number)
            if shard is None or len(shard.rows) != len(rows):
                raise self.damaged(rows.start)
            for index, row in zip(rows, shard.rows, strict=True):
                stamp = content.stamp(index)
                if stamp != row.stamp if stamp is not None else not content.is_missing(index):
                    newer.append((index, row))
        for index, row in newer[:: -(-len(newer) // COMPARED) or 1]:
            if content.key(index) != row.key:
                raise InputError(
                    f"{self.folder} was prepared from another picture or map than that of {shorten(row.name)!r} now",
                    field="data.cache",
                    hint=AGAIN,
                )
        if len(newer) > COMPARED:
            count = f"{len(newer)} pairs have files of another time than when {self.folder} was prepared, or lie in tables"
            told = f"{count}: some {COMPARED} of them were compared and are the same"
            tell(Message(told, "data.compared", "info"))

    def difference(self, pairs: Pairs, number: int) -> str:
        """Which pair of a shard is not the one it was made from."""
        shard = read_shard(self.folder, number)
        for index, row in zip(self.settings.rows(number), () if shard is None else shard.rows, strict=False):
            if row.name != pairs.names[index]:
                return f": pair {index} was {shorten(row.name)!r} there and is {shorten(pairs.names[index])!r}"
            if row.captions != captions_of(pairs, index):
                return f": the caption of {shorten(row.name)!r} has changed"
        return ", whose pairs have changed"

    def check_base(self, base: StableDiffusion, size: tuple[int, int]) -> None:
        """Refuse a base whose encoders it was not made with, and pictures of another size.

        Raises:
            InputError: naming the part, or the sizes.
        """
        if size != self.size:
            (width, height), (w, h) = self.size, size
            raise InputError(
                f"{self.folder} was prepared for pictures of {width}x{height}, they are {w}x{h}",
                field="data.cache",
                hint="prepare it again with --fresh, or name another data.cache",
            )
        found = hash_encoders(base)
        for part, made in self.settings.encoders.items():
            if found.get(part) != made:
                raise InputError(
                    f"{self.folder} was prepared with another {part} ({describe(self.settings)}) than that of {base.name}",
                    field="data.cache",
                    hint="prepare the data set with this base, or name another data.cache",
                )

    def count_captions(self, index: int) -> int:
        """How many captions a pair has."""
        tensors, row = self.find(index)
        return int((tensors["caption_texts"][row] >= 0).sum())

    def read(self, indices: Sequence[int], captions: Sequence[int]) -> tuple[Tensor, PromptEncoding]:
        """Latents (B, C, h, w) and encoded prompts, float32, on the CPU.

        Args:
            indices: numbers of the pairs.
            captions: which caption of each.

        Raises:
            InputError: when a row is damaged.
        """
        latents, texts, pooled = list[Tensor](), list[Tensor](), list[Tensor]()
        for index, caption in zip(indices, captions, strict=True):
            tensors, row = self.find(index)
            place = int(tensors["caption_texts"][row, caption])
            latents.append(self.intact_latents(index, tensors, row))
            parts = [tensors[name][place] for name in ("text", "pooled") if name in tensors]
            if digest(*parts) != tensors["text_digests"][place].numpy().tobytes():
                raise self.damaged(index)
            texts.append(parts[0])
            pooled += parts[1:]
        text = PromptEncoding(torch.stack(texts).float(), torch.stack(pooled).float() if pooled else None)
        return torch.stack(latents).float(), text

    def read_map(self, index: int) -> Image.Image:
        """The map of a pair; only where `has_maps`.

        Raises:
            InputError: when its row is damaged.
        """
        tensors, row = self.find(index)
        self.intact_latents(index, tensors, row)
        image = Image.open(io.BytesIO(png_of(tensors, row)), formats=("PNG",))
        image.load()
        return image

    def intact_latents(self, index: int, tensors: Mapping[str, Tensor], row: int) -> Tensor:
        """The latents of a row, (C, h, w) float16, once they and its map are what they must be.

        Raises:
            InputError: when they are not.
        """
        latents = tensors["latents"][row]
        if digest(latents, png_of(tensors, row)) != tensors["row_digests"][row].numpy().tobytes():
            raise self.damaged(index)
        return latents

    def find(self, index: int) -> tuple[Mapping[str, Tensor], int]:
        """The shard of a pair, mapped, and its row there; a shard's index is hashed when the shard is first touched.

        Raises:
            InputError: when it is damaged.
        """
        number, row = divmod(index, self.settings.shard_size)
        if number not in self.opened:
            entry = self.entries[number]
            try:
                tensors = read_safetensors(self.folder / entry.file)
                if hash_index(tensors) != entry.index_sha256 or shapes_of(tensors) != self.expected_shapes(number, tensors):
                    raise self.damaged(index)
            except (OSError, ValueError) as error:
                raise self.damaged(index) from error
            self.opened[number] = tensors
        return self.opened[number], row

    def expected_shapes(self, number: int, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
        """The shapes and places that a shard's index, which is hashed, leaves to its numbers."""
        rows, texts = len(self.settings.rows(number)), len(tensors["text_digests"])
        counts = {name: rows if name == "latents" else texts for name in self.settings.shapes}
        found = {name: (counts[name], *shape) for name, shape in self.settings.shapes.items()}
        return {**found, "maps": (int(tensors["map_ends"][-1]),)} if self.settings.maps else found

    def damaged(self, index: int) -> InputError:
        """The error for a row that is not what it was when it was written."""
        entry = self.entries[index // self.settings.shard_size]
        message = f"{self.folder / entry.file} is damaged (pair {index})"
        return InputError(message, field="data.cache", hint=AGAIN)


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of what is no index."""
    return {name: tuple(tensors[name].shape) for name in ("latents", "text", "pooled", "maps") if name in tensors}


def png_of(tensors: Mapping[str, Tensor], row: int) -> bytes:
    """The PNG file of a row's map; empty where there are none."""
    if "maps" not in tensors:
        return b""
    ends = tensors["map_ends"]
    return tensors["maps"][int(ends[row - 1]) if row else 0 : int(ends[row])].numpy().tobytes()
