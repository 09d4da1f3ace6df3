"""The pairs that a part of a step sees: opened as far as they must be, with all that is drawn for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from zeroconv import conditions
from zeroconv.conditions.parameters import device_parameters
from zeroconv.data import Pair, get_maps
from zeroconv.data.buckets import View
from zeroconv.data.prepared import PreparedCache
from zeroconv.data.sampling_order import SampleRef, StepRandomness, draw_caption, draw_randomness, samples_of_step
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.defaults import extractor_parameters, is_wide, timesteps_of_step
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.training_pairs import TrainingPairs
from zeroconv.training.data.views import Views

__all__ = ["Gatherer", "Visits", "make_maps"]


@dataclass(frozen=True)
class Visits:
    """The pairs of a part of a step, as far as they must be opened.

    Attributes:
        refs: which samples they are, each in which epoch.
        places: which pairs they see, in `TrainingPairs`.
        pairs: those pairs, each with the caption of its visit; none where all that is needed was prepared.
        captions: which of its captions each pair bears.
        drawn: everything random about them.
        maps: their condition images; None where they are made later.
        left_out: pairs that turned out to be unusable, each with what is wrong.
        views: the part of each picture that is seen, and its number: which of its parts it is, or the row of a stored view;
            empty where whole pictures are seen.
        size: width and height of the pictures as they are seen.
    """

    refs: Sequence[SampleRef]
    places: Sequence[int]
    pairs: Sequence[Pair]
    captions: Sequence[int]
    drawn: Sequence[StepRandomness]
    maps: Sequence[Image.Image] | None
    left_out: dict[int, str] = field(default_factory=dict[int, str])
    views: Sequence[tuple[View, int]] = ()
    size: tuple[int, int] = (0, 0)


class Gatherer(Dataset[Visits]):
    """Opens pairs and makes maps: what worker processes can do; a data set for `DataLoader`, indexed by (step, part, parts).

    Args:
        config: the settings.
        pairs: to train on.
        size: width and height of the pictures in pixels.
        base: decides what the settings leave open.
        timesteps: length T of the noise schedule.
        prepared: the folder in which latents and prompts are ready, and perhaps maps; None where there is none.
        views: what is seen of pictures of any size; None for whole ones of one size.
    """

    def __init__(
        self,
        config: TrainConfig,
        pairs: TrainingPairs,
        size: tuple[int, int],
        base: StableDiffusion,
        timesteps: int,
        prepared: PreparedCache | None,
        views: Views | None = None,
    ) -> None:
        self.config, self.pairs, self.size, self.views = config, pairs, size, views
        self.latent_shapes = {one: base.latent_shape(*one) for one in ([size] if views is None else views.buckets)}
        self.timesteps, self.is_wide = timesteps, is_wide(base)
        has_maps = prepared is not None and prepared.has_maps(config.data.condition, config.data.extract)
        self.prepared = prepared if has_maps else None

    def __getitem__(self, key: tuple[int, int, int]) -> Visits:
        """The visits of a part of a step."""
        return self(key)

    def __call__(self, key: tuple[int, int, int]) -> Visits:
        """The visits of (step, part, parts)."""
        step, part, parts = key
        optimization = self.config.optimization
        if self.views is None:
            size, seed = self.size, optimization.seed
            refs = samples_of_step(step, optimization.batch_size, len(self.pairs), seed, part, parts)
        else:
            bucket, refs = self.views.order.samples_of_step(step, part, parts)
            size = self.views.buckets[bucket]
        draw = timesteps_of_step(optimization, self.is_wide, self.timesteps, step), self.config.data.prompt_dropout
        shape = self.latent_shapes[size]
        return self.open(refs, [draw_randomness(ref, optimization.seed, shape, *draw) for ref in refs], size)

    def open(self, refs: Sequence[SampleRef], drawn: Sequence[StepRandomness], size: tuple[int, int]) -> Visits:
        """Open the pairs of samples; draws belong to the sample, whichever pair it sees; pictures are seen at `size`."""
        before, seed = set(self.pairs.broken), self.config.optimization.seed
        if self.prepared is not None:
            return self.open_prepared(self.prepared, refs, drawn, size)
        among = self.among(size)
        places, pairs = zip(*(self.pairs.open(ref.index, self.check_size, among) for ref in refs), strict=True)
        pairs = [with_caption(pair, draw_caption(ref, seed)) for ref, pair in zip(refs, pairs, strict=True)]
        captions, views = [pair.caption_index for pair in pairs], list[tuple[View, int]]()
        if self.views is not None:
            seen = [self.views.see(*one, size) for one in zip(refs, places, pairs, strict=True)]
            pairs, views = [pair for _, _, pair in seen], [(view, number) for view, number, _ in seen]
        # a network would be copied into every worker
        is_learned = bool(device_parameters(conditions.get(self.config.data.condition), "cpu"))
        maps = None if is_learned else make_maps(self.config, pairs, [one.extraction for one in drawn])
        left_out = {place: problem for place, problem in self.pairs.broken.items() if place not in before}
        return Visits(refs, places, pairs, captions, drawn, maps, left_out, views, size)

    def open_prepared(
        self, prepared: PreparedCache, refs: Sequence[SampleRef], drawn: Sequence[StepRandomness], size: tuple[int, int]
    ) -> Visits:
        """The same where no picture needs to be opened."""
        places = [self.pairs.usable(ref.index, self.among(size)) for ref in refs]
        counts = [prepared.count_captions(self.pairs.indices[place]) for place in places]
        chosen = [draw_caption(ref, self.config.optimization.seed) for ref in refs]
        captions = [choose(count) if count > 1 else 0 for choose, count in zip(chosen, counts, strict=True)]
        views = [] if self.views is None else [self.views.find(*one) for one in zip(refs, places, captions, strict=True)]
        numbers = [number for _, number in views] or [None] * len(places)
        maps = [prepared.read_map(self.pairs.indices[place], number) for place, number in zip(places, numbers, strict=True)]
        return Visits(refs, places, (), captions, drawn, maps, views=views, size=size)

    def among(self, size: tuple[int, int]) -> Sequence[int] | None:
        """Places of the pairs that may take each other's place where pictures are seen at a size; None for all."""
        return None if self.views is None else self.views.order.members[self.views.buckets.index(size)]

    def check_size(self, pair: Pair) -> None:
        """Refuse a picture of another size than the others, unless parts of them are seen.

        Raises:
            InputError: naming the pair.
        """
        if self.views is None and pair.image.size != self.size:
            (width, height), (w, h) = pair.image.size, self.size
            raise InputError(
                f"pair {pair.name!r} is {width}x{height}, others {w}x{h}",
                field="data.source",
                hint="train on pictures of one size, or with `--set buckets=true`",
            )


def with_caption(pair: Pair, choose: Callable[[int], int]) -> Pair:
    """A pair as one visit sees it: with one of its captions."""
    return pair if len(pair.captions) < 2 else replace(pair, caption=pair.captions[choose(len(pair.captions))])


def make_maps(config: TrainConfig, pairs: Sequence[Pair], generators: Sequence[np.random.Generator]) -> list[Image.Image]:
    """The maps of pairs, ready ones or extracted; parameters that the settings leave open are drawn for each pair.

    Args:
        config: which condition, and its extractor's parameters.
        pairs: the pairs.
        generators: one for each.

    Raises:
        InputError: for wrong parameters, or a pair without a map that can be extracted.
    """
    name, given = config.data.condition, extractor_parameters(config)
    parameters = [
        conditions.draw_parameters(name, generator, pair.image.size, given)
        for pair, generator in zip(pairs, generators, strict=True)
    ]
    return get_maps(pairs, name, parameters, asked=config.data.extract)
