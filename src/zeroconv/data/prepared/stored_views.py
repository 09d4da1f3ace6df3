"""The views that a prepared folder keeps of each picture: its parts in its bucket, and the mirrored twins of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zeroconv.data.buckets import Size, View, bucket_sizes, bucket_step, fit_bucket
from zeroconv.data.pair_views import draw_part, may_mirror
from zeroconv.data.pairs import Pair
from zeroconv.diffusion import generator
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["ViewSettings", "describe_views", "distinct", "latents_name", "pack_views", "read_view"]


@dataclass(frozen=True)
class ViewSettings:
    """Which views there are of each picture.

    Attributes:
        resolution: side in pixels of a square of the buckets' area, a multiple of the step.
        step: of their sides, in pixels.
        crops: parts of each picture; one is its middle.
        flip: whether they are kept mirrored too, where a caption allows it.
    """

    resolution: int
    step: int
    crops: int
    flip: bool

    @classmethod
    def of_base(cls, base: StableDiffusion, resolution: int | None, crops: int, flip: bool) -> "ViewSettings":
        """Those that a training sees.

        Args:
            base: decides the step, and the resolution where none is given.
            resolution: side in pixels; rounded down to a multiple of the step.
            crops: parts of each picture.
            flip: whether they are seen mirrored too.

        Raises:
            InputError: for a resolution that is smaller than a step.
        """
        side = resolution or base.size
        step = bucket_step(base, side)
        bucket_sizes(side, step)
        return cls(side // step * step, step, crops, flip)

    @property
    def buckets(self) -> list[Size]:
        """Width and height of each."""
        return bucket_sizes(self.resolution, self.step)

    @property
    def per_picture(self) -> int:
        """How many views there are of a picture at most."""
        return self.crops * (2 if self.flip else 1)

    def of_pair(self, pair: Pair, key: str) -> list[list[View]]:
        """The views of a pair: of each part itself, and behind it its mirrored twin unless all captions forbid it.

        Args:
            pair: its picture opened.
            key: hash of its content, to which the places of the parts belong.

        Raises:
            InputError: for a picture that is smaller than its bucket.
        """
        size = pair.image.size
        bucket = fit_bucket(pair.name, size, self.buckets)
        parts = [draw_part(size, bucket, self.crops, generator(0, "stored view", key, crop)) for crop in range(self.crops)]
        mirrored = self.flip and any(map(may_mirror, pair.captions or (pair.caption,)))
        return [[part, replace(part, mirrored=True)] if mirrored else [part] for part in parts]

    def __str__(self) -> str:
        """For a person."""
        crops = f"{self.crops} crops" if self.crops > 1 else "1 crop, the middle,"
        mirrored = ", mirrored too," if self.flip else ""
        return f"{crops} of each picture{mirrored} in buckets of {self.resolution}x{self.resolution} (steps of {self.step})"

    @property
    def as_settings(self) -> str:
        """As `train` is given them."""
        given = f"--set buckets=true --set resolution={self.resolution} --set crops={self.crops}"
        return f"{given} --set flip=true" if self.flip else given


def describe_views(views: ViewSettings | None) -> str:
    """The views of a folder for a person; whole pictures where there are none."""
    return "whole pictures" if views is None else str(views)


def latents_name(bucket: Size) -> str:
    """The tensor of a shard in which the latents of a bucket are."""
    return f"latents-{bucket[0]}x{bucket[1]}"


def distinct(parts: Sequence[Sequence[View]]) -> list[View]:
    """The views of a pair, equal ones once: parts of a picture of its bucket's shape are all the same."""
    return list(dict.fromkeys(view for part in parts for view in part))


def pack_views(pairs: Sequence[Sequence[Sequence[View]]], crops: int) -> dict[str, Tensor]:
    """The tensors by which views are found; equal views of a pair are one.

    Args:
        pairs: the views of each, as `ViewSettings.of_pair` gives them; none of one that cannot be used.
        crops: how many parts each has.

    Returns:
        "views" (v, 8) int32: width and height of the picture, width and height of the bucket, left, top, whether it is
        mirrored, and its place among the latents of its bucket; "view_of" (n, crops, 2) int32: which of these shows each
        part of a pair, as it is and mirrored, -1 where none does.
    """
    rows, counts = list[list[int]](), dict[Size, int]()
    view_of = torch.full((len(pairs), crops, 2), -1, dtype=torch.int32)
    for number, parts in enumerate(pairs):
        first, different = len(rows), distinct(parts)
        for view in different:
            place = counts.get(view.bucket, 0)
            rows.append([*view.picture, *view.bucket, view.left, view.top, int(view.mirrored), place])
            counts[view.bucket] = place + 1
        for crop, part in enumerate(parts):
            for column, view in enumerate(part):
                view_of[number, crop, column] = first + different.index(view)
    return {"views": torch.tensor(rows, dtype=torch.int32).reshape(-1, 8), "view_of": view_of}


def read_view(tensors: Mapping[str, Tensor], row: int) -> tuple[View, Tensor]:
    """A view of a shard, and its latents (C, h, w) float16.

    Args:
        tensors: of the shard.
        row: of the view.
    """
    width, height, w, h, left, top, mirrored, place = tensors["views"][row].tolist()
    return View((width, height), (w, h), left, top, bool(mirrored)), tensors[latents_name((w, h))][place]
