"""A prepared folder as training reads it: mapped, never written, every row compared with its digest."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zeroconv import conditions
from zeroconv.checkpoints.files.safetensors import read_safetensors
from zeroconv.conditions.parameters import without_device
from zeroconv.data.buckets import Size, View
from zeroconv.data.prepared.manifest import AGAIN, describe_content, read_manifest
from zeroconv.data.prepared.packing import digest
from zeroconv.data.prepared.shard_file import hash_index
from zeroconv.data.prepared.stored_views import ViewSettings, latents_name, read_view
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import PromptEncoding

__all__ = ["PreparedCache"]


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
        """Width and height of the pictures in pixels; of views those of the square."""
        return self.settings.size

    @property
    def views(self) -> ViewSettings | None:
        """Which views of each picture it keeps; None for whole ones."""
        return self.settings.views

    @property
    def content(self) -> str:
        """What it keeps of the pictures, for a person."""
        return describe_content(self.settings, self.entries)

    @property
    def broken(self) -> dict[int, str]:
        """What is wrong with pairs that cannot be used, by their number."""
        return {int(row): problem for entry in self.entries for row, problem in entry.broken.items()}

    def has_maps(self, condition: str, extract: Mapping[str, Any]) -> bool:
        """Whether it keeps the maps of a condition, made as they are asked for."""
        same = without_device(self.settings.extract) == without_device(extract)
        return self.settings.maps and self.settings.condition == conditions.get(condition).name and same

    def pictures(self) -> dict[int, tuple[Size, Size]]:
        """Sizes in pixels of the pictures whose views it keeps, and of the bucket of each, by the number of the pair.

        Raises:
            InputError: when a shard is damaged.
        """
        found: dict[int, tuple[Size, Size]] = {}
        for number in range(len(self.entries)):
            rows = self.settings.rows(number)
            tensors, _ = self.find(rows.start)
            for index, shown in zip(rows, tensors["view_of"][:, 0, 0].tolist(), strict=True):
                if shown >= 0:
                    view, _ = read_view(tensors, shown)
                    found[index] = view.picture, view.bucket
        return found

    def count_captions(self, index: int) -> int:
        """How many captions a pair has."""
        tensors, row = self.find(index)
        return int((tensors["caption_texts"][row] >= 0).sum())

    def find_view(self, index: int, crop: int, mirrored: bool) -> tuple[int, View]:
        """The view that shows a part of a pair's picture, and its row in the shard."""
        tensors, row = self.find(index)
        shown = int(tensors["view_of"][row, crop, int(mirrored)])
        assert shown >= 0
        return shown, read_view(tensors, shown)[0]

    def may_mirror(self, index: int, caption: int) -> bool:
        """Whether a visit with a caption of a pair may see its picture mirrored."""
        tensors, row = self.find(index)
        return bool(tensors["may_mirror"][row, caption])

    def read(
        self, indices: Sequence[int], captions: Sequence[int], views: Sequence[int] | None = None
    ) -> tuple[Tensor, PromptEncoding]:
        """Latents (B, C, h, w) and encoded prompts, float32, on the CPU.

        Args:
            indices: numbers of the pairs.
            captions: which caption of each.
            views: the row of its view (`find_view`), all of one bucket; left out where whole pictures are kept.

        Raises:
            InputError: when a row is damaged.
        """
        latents, texts, pooled = list[Tensor](), list[Tensor](), list[Tensor]()
        for number, (index, caption) in enumerate(zip(indices, captions, strict=True)):
            tensors, row = self.find(index)
            place = int(tensors["caption_texts"][row, caption])
            latents.append(self.intact_picture(index, views[number] if views else None)[0])
            parts = [tensors[name][place] for name in ("text", "pooled") if name in tensors]
            if digest(*parts) != tensors["text_digests"][place].numpy().tobytes():
                raise self.damaged(index)
            texts.append(parts[0])
            pooled += parts[1:]
        text = PromptEncoding(torch.stack(texts).float(), torch.stack(pooled).float() if pooled else None)
        return torch.stack(latents).float(), text

    def read_map(self, index: int, view: int | None = None) -> Image.Image:
        """The map of a pair, or that of its view in a row (`find_view`); only where `has_maps`.

        Raises:
            InputError: when its row is damaged.
        """
        image = Image.open(io.BytesIO(self.intact_picture(index, view)[1]), formats=("PNG",))
        image.load()
        return image

    def intact_picture(self, index: int, view: int | None) -> tuple[Tensor, bytes]:
        """The latents of a pair or of one of its views, (C, h, w) float16, and the PNG of its map, as they must be.

        Raises:
            InputError: when they are not.
        """
        tensors, row = self.find(index)
        if view is None:
            latents = tensors["latents"][row]
        else:
            row, latents = view, read_view(tensors, view)[1]
        png = png_of(tensors, row)
        if digest(latents, png) != tensors["row_digests"][row].numpy().tobytes():
            raise self.damaged(index)
        return latents, png

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
        found = {name: (texts, *shape) for name, shape in self.settings.shapes.items() if name != "latents"}
        channels, height, _ = shape = self.settings.shapes["latents"]
        if self.views is None:
            found["latents"] = rows, *shape
        else:
            factor = self.size[1] // height
            counts = Counter((w, h) for w, h in tensors["views"][:, 2:4].tolist())
            found |= {latents_name(one): (count, channels, one[1] // factor, one[0] // factor) for one, count in counts.items()}
        if self.settings.maps:
            found["maps"] = (int(tensors["map_ends"][-1]) if len(tensors["map_ends"]) else 0,)
        return found

    def damaged(self, index: int) -> InputError:
        """The error for a row that is not what it was when it was written."""
        entry = self.entries[index // self.settings.shard_size]
        message = f"{self.folder / entry.file} is damaged (pair {index})"
        return InputError(message, field="data.cache", hint=AGAIN)


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of what is no index."""
    return {
        name: tuple(tensor.shape)
        for name, tensor in tensors.items()
        if name in ("latents", "text", "pooled", "maps") or name.startswith("latents-")
    }


def png_of(tensors: Mapping[str, Tensor], row: int) -> bytes:
    """The PNG file of the map of a row, or of a view; empty where there are none."""
    if "maps" not in tensors:
        return b""
    ends = tensors["map_ends"]
    return tensors["maps"][int(ends[row - 1]) if row else 0 : int(ends[row])].numpy().tobytes()
