"""How visits see pictures of any size: which bucket each lies in, which part of it is cut, and whether it is mirrored."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from zeroconv.data import FolderPairs, Pair, Pairs
from zeroconv.data.bucket_order import BucketOrder
from zeroconv.data.buckets import Size, View, fit_bucket
from zeroconv.data.pair_views import draw_part, may_mirror, show
from zeroconv.data.prepared import PreparedCache
from zeroconv.data.readiness import readable_size
from zeroconv.data.sampling_order import SampleRef
from zeroconv.diffusion import generator
from zeroconv.errors import InputError
from zeroconv.training.config.train_config import TrainConfig

__all__ = ["Buckets", "Views"]


class Buckets:
    """The bucket of each picture of a data set.

    Args:
        found: size of each picture that can be used and of its bucket, by index.
        broken: what is wrong with the others, by index.

    Raises:
        InputError: when none can be used.
    """

    def __init__(self, found: Mapping[int, tuple[Size, Size]], broken: Mapping[int, str]) -> None:
        if not found:
            first = f" (first: {broken[min(broken)]})" if broken else ""
            raise InputError(f"none of {len(broken)} pairs can be used{first}", field="data.resolution")
        self.sizes = {index: size for index, (size, _) in found.items()}
        self.chosen = {index: bucket for index, (_, bucket) in found.items()}

    @classmethod
    def of_files(cls, pairs: Pairs, sizes: list[Size], broken: dict[int, str]) -> "Buckets":
        """By headers alone.

        Args:
            pairs: the data set.
            sizes: all buckets there are.
            broken: what is wrong with pairs that cannot be used, by index; those whose picture is too small are added.

        Raises:
            InputError: when no pair is left.
        """
        rows = pairs.rows if isinstance(pairs, FolderPairs) else None
        shared = pairs[0].image.size if rows is None else (0, 0)  # scenes have one size
        found: dict[int, tuple[Size, Size]] = {}
        for index in range(len(pairs)):
            if index in broken:
                continue
            size = shared if rows is None else readable_size(rows[index].image, photo=True)
            try:
                found[index] = size, fit_bucket(pairs.names[index], size, sizes)
            except InputError as error:
                broken[index] = str(error)
        return cls(found, broken)

    @property
    def largest(self) -> Size:
        """The bucket of most pictures; of equal ones the first."""
        return min(Counter(self.chosen.values()).items(), key=lambda item: (-item[1], item[0]))[0]

    def outside(self, bucket: Size) -> set[int]:
        """Indices of the pictures of other buckets."""
        return {index for index, chosen in self.chosen.items() if chosen != bucket}

    def describe(self, condition: str) -> str:
        """What is done to the pictures and their maps, in a sentence."""
        counts = sorted(Counter(self.chosen.values()).items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{width}x{height} ({count})" for (width, height), count in counts)
        sizes, reduced = len(set(self.sizes.values())), sum(self.sizes[i] != self.chosen[i] for i in self.sizes)
        return (
            f"{reduced} of {len(self.sizes)} pictures, of {sizes} sizes in all, are reduced and cut to their buckets, "
            f"{listed}; their maps are cut in the same place and reduced as maps of {condition} are"
        )


class Views:
    """What each visit of a run sees of its picture; a pure function of the settings, the sizes and the visit.

    Args:
        config: of the run.
        buckets: of the data set.
        indices: in the data set, of the pairs that are trained on; a pair's place among them is what visits speak of.
        stored: a prepared folder whose views are taken; parts are drawn by the seed if left out.
    """

    def __init__(
        self, config: TrainConfig, buckets: Buckets, indices: Sequence[int], stored: PreparedCache | None = None
    ) -> None:
        self.indices, self.stored = indices, stored
        data, self.seed = config.data, config.optimization.seed
        self.crops, self.flip = data.crops, data.flip
        places: dict[Size, list[int]] = {}
        self.sizes = dict[int, Size]()
        for place, index in enumerate(indices):
            if index in buckets.chosen:
                places.setdefault(buckets.chosen[index], []).append(place)
                self.sizes[place] = buckets.sizes[index]
        self.buckets = sorted(places)
        self.order = BucketOrder([places[bucket] for bucket in self.buckets], config.optimization.batch_size, self.seed)

    @property
    def per_sample(self) -> int:
        """How many views there are of each picture."""
        return self.crops * (2 if self.flip else 1)

    @property
    def capacity(self) -> Size:
        """The bucket of the most pixels."""
        return max(self.buckets, key=lambda size: size[0] * size[1])

    def see(self, ref: SampleRef, place: int, pair: Pair, bucket: Size) -> tuple[View, int, Pair]:
        """The view of a visit, its number (among all views of that picture, or its row, if stored), and the pair as it shows.

        Args:
            ref: the visit, to which the choice of a part belongs.
            place: of the pair that it sees, to which the parts themselves belong.
            pair: that pair, with the visit's caption.
            bucket: of the batch.
        """
        crop, mirrored = self.choose(ref, may_mirror(pair.caption))
        if self.stored is not None:
            number, view = self.stored.find_view(self.indices[place], crop, mirrored)
        else:
            part = draw_part(pair.image.size, bucket, self.crops, generator(self.seed, "part", place, crop))
            number, view = crop * (2 if self.flip else 1) + mirrored, replace(part, mirrored=mirrored)
        return view, number, show(pair, view)

    def find(self, ref: SampleRef, place: int, caption: int) -> tuple[View, int]:
        """The same of a stored view, without its pair: the view and its row. The caption is that of the visit."""
        assert self.stored is not None
        index = self.indices[place]
        number, view = self.stored.find_view(index, *self.choose(ref, self.stored.may_mirror(index, caption)))
        return view, number

    def choose(self, ref: SampleRef, may_be_mirrored: bool) -> tuple[int, bool]:
        """Which part a visit sees, and whether mirrored."""
        drawn = generator(self.seed, "view", ref.index, ref.epoch)
        crop = int(torch.randint(self.crops, (), generator=drawn)) if self.crops > 1 else 0
        return crop, self.flip and bool(torch.rand((), generator=drawn) < 0.5) and may_be_mirrored
