"""How visits see pictures of any size: which bucket each lies in, which part of it is cut, and whether it is mirrored."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from zeroconv import conditions
from zeroconv.data import FolderPairs, Pair, Pairs
from zeroconv.data.bucket_order import BucketOrder
from zeroconv.data.buckets import Size, View, bucket_sizes, choose_bucket
from zeroconv.data.readiness import readable_size
from zeroconv.data.sampling_order import SampleRef
from zeroconv.diffusion import generator
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.train_config import TrainConfig

__all__ = ["Buckets", "Views", "centre"]

NOT_MIRRORED = re.compile(
    r"\b(left|right|(text|letters?|lettering|words?|writing|written|inscriptions?|signs?|signage|logos?|labels?|says|saying)\b)"
    r"|[\"“”„«»「」]",
    re.IGNORECASE,
)
"""Words of captions that are not true of the mirrored picture, or tell of writing in it, which nobody could read then."""


class Buckets:
    """The bucket of each picture of a data set, by headers alone.

    Args:
        config: of the run.
        base: decides the buckets: its size in pixels, and the steps that its autoencoder and U-Net take.
        found: the data set.
        broken: what is wrong with pairs that cannot be used, by index; those whose picture is too small are added.

    Raises:
        InputError: when no pair is left.
    """

    def __init__(self, config: TrainConfig, base: StableDiffusion, found: Pairs, broken: dict[int, str]) -> None:
        side, factor = config.data.resolution or base.size, base.vae_scale_factor
        whole = factor * 2 ** (len(base.unet.config.block_out_channels) - 1)  # what the U-Net halves without a rest
        all_sizes = bucket_sizes(side, max(factor, min(whole, side // 8 // factor * factor)))
        self.sizes, self.chosen = dict[int, Size](), dict[int, Size]()
        rows = found.rows if isinstance(found, FolderPairs) else None
        shared = found[0].image.size if rows is None else (0, 0)  # scenes have one size
        for index in range(len(found)):
            if index in broken:
                continue
            size = shared if rows is None else readable_size(rows[index].image, photo=True)
            bucket = choose_bucket(size, all_sizes)
            if View(size, bucket, 0, 0).scale > 1:
                (width, height), (w, h) = size, bucket
                broken[index] = (
                    f"pair {found.names[index]!r} is {width}x{height}, smaller than its bucket of {w}x{h}: give a larger "
                    "picture, or a smaller `resolution`"
                )
                continue
            self.sizes[index], self.chosen[index] = size, bucket
        if not self.chosen:
            first = f" (first: {broken[min(broken)]})" if broken else ""
            raise InputError(f"none of {len(found)} pairs can be used{first}", field="data.resolution")

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
    """

    def __init__(self, config: TrainConfig, buckets: Buckets, indices: Sequence[int]) -> None:
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
        """The view of a visit, its number among all views of that picture, and the pair as it shows there.

        Args:
            ref: the visit, to which the choice of a part belongs.
            place: of the pair that it sees, to which the parts themselves belong.
            pair: that pair, with the visit's caption.
            bucket: of the batch.
        """
        drawn = generator(self.seed, "view", ref.index, ref.epoch)
        number = int(torch.randint(self.crops, (), generator=drawn)) if self.crops > 1 else 0
        mirrored = self.flip and bool(torch.rand((), generator=drawn) < 0.5) and not NOT_MIRRORED.search(pair.caption)
        view = replace(self.part(place, number, pair.image.size, bucket), mirrored=mirrored)
        return view, number * (2 if self.flip else 1) + mirrored, show(pair, view)

    def part(self, place: int, number: int, size: Size, bucket: Size) -> View:
        """Part `number` of a picture: its middle where there is one part only, else drawn once for all epochs."""
        whole = View(size, bucket, 0, 0)
        if self.crops == 1:
            return middle(whole)
        drawn = generator(self.seed, "part", place, number)
        left, top = (int(torch.randint(slack + 1, (), generator=drawn)) for slack in whole.slack)
        return replace(whole, left=left, top=top)


def middle(view: View) -> View:
    """The view of the middle."""
    return replace(view, left=view.slack[0] // 2, top=view.slack[1] // 2)


def centre(pair: Pair, bucket: Size) -> Pair:
    """A held-out pair, its middle cut to a bucket."""
    return show(pair, middle(View(pair.image.size, bucket, 0, 0)))


def show(pair: Pair, view: View) -> Pair:
    """A pair as a view shows it: picture and maps alike."""
    seen = {name: view.of_map(image, conditions.get(name)) for name, image in pair.maps.items()}
    return replace(pair, image=view.of_picture(pair.image), maps=seen)
