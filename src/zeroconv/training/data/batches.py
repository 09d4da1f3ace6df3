"""The batch of a step: a pure function of the settings, the data, the step and the part of it that is asked for."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zeroconv import conditions
from zeroconv.data import Pair, get_maps
from zeroconv.data.latent_cache import LatentCache
from zeroconv.data.sampling_order import SampleRef, StepRandomness, draw_caption, draw_randomness, samples_of_step
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import AddedConditions, StableDiffusion
from zeroconv.training.config.defaults import extractor_parameters, is_wide, timesteps_of_step
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.training_pairs import TrainingPairs

__all__ = ["Batch", "Batches", "make_maps"]

AHEAD = 2  # parts that each worker process prepares before they are asked for


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        z_0: clean latents, (B, C, h, w).
        text: text states, some of them of the empty prompt, (B, N, D).
        condition: condition images, (B, 3, H, W) in [0, 1].
        t: diffusion steps, (B,).
        epsilon: noise, like `z_0`.
        added_conditions: SDXL's conditioning beside the text; None for the other families.
        names: of the pairs.
    """

    z_0: Tensor
    text: Tensor
    condition: Tensor
    t: Tensor
    epsilon: Tensor
    added_conditions: AddedConditions | None = None
    names: Sequence[str] = ()

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device; a GPU's copies are queued and not waited for."""
        queued = torch.device(device).type == "cuda"

        def move(tensor: Tensor) -> Tensor:
            return tensor.pin_memory().to(device, non_blocking=True) if queued else tensor.to(device)

        tensors = (self.z_0, self.text, self.condition, self.t, self.epsilon)
        z_0, text, condition, t, epsilon = map(move, tensors)
        added = self.added_conditions and self.added_conditions.map(move)
        return Batch(z_0, text, condition, t, epsilon, added, self.names)


@dataclass(frozen=True)
class Visits:
    """The pairs of a part of a step, opened.

    Attributes:
        refs: which samples they are, each in which epoch.
        places: which pairs they see, in `TrainingPairs`.
        pairs: those pairs, each with the caption of its visit.
        drawn: everything random about them.
        maps: their condition images; None where they are made later.
        left_out: pairs that turned out to be unusable, each with what is wrong.
    """

    refs: Sequence[SampleRef]
    places: Sequence[int]
    pairs: Sequence[Pair]
    drawn: Sequence[StepRandomness]
    maps: Sequence[Image.Image] | None
    left_out: dict[int, str] = field(default_factory=dict[int, str])


class Batches:
    """The batches of a run: latents and prompts from the cache, maps made anew, everything random keyed by the seed.

    Args:
        config: the settings.
        base: the locked base.
        pairs: to train on.
        cache: of their latents and prompts.
        size: width and height of the pictures in pixels.
        timesteps: length T of the noise schedule.
        device: where the batches go.
        report: called with name and problem of each pair that turns out to be unusable.
    """

    def __init__(
        self,
        config: TrainConfig,
        base: StableDiffusion,
        pairs: TrainingPairs,
        cache: LatentCache,
        size: tuple[int, int],
        timesteps: int,
        device: str = "cpu",
        report: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self.config, self.base, self.pairs, self.cache = config, base, pairs, cache
        self.size, self.device, self.report, self.reported = size, device, report, set(pairs.broken)
        self.empty_text = base.encode_text([""]).map(lambda tensor: tensor.float().cpu())
        self.gather = Gatherer(config, pairs, size, base, timesteps, tuple(cache.latents.shape[1:]))

    def __call__(self, step: int, part: int = 0, parts: int = 1) -> Batch:
        """A part of the batch of a step, on the training's device.

        Args:
            step: counted from 0.
            part: which one; all parts, one after the other, are the whole step's batch.
            parts: into how many equal parts it is divided, over all processes and one after the other in each.

        Raises:
            InputError: when too many pairs cannot be used, or a map cannot be made.
        """
        return self.finish(self.gather((step, part, parts)))

    def each(self, steps: range, mine: Sequence[int], parts: int) -> Iterator[list[Batch]]:
        """The parts of every step that this process computes, prepared by worker processes if the settings say so.

        Args:
            steps: counted from 0.
            mine: which parts of each step.
            parts: into how many equal parts a step is divided.
        """
        wanted = [(step, part, parts) for step in steps for part in mine]
        with closing(self.gathered(wanted)) as gathered:
            for _ in steps:
                yield [self.finish(next(gathered)) for _ in mine]

    def gathered(self, wanted: Sequence[tuple[int, int, int]]) -> Generator[Visits]:
        """The visits of parts of steps, one after the other."""
        workers = self.config.data.workers
        if not workers:
            yield from map(self.gather, wanted)
            return
        # a generator of its own: the loader would take its base seed from the global one, which is the user's
        yield from DataLoader(
            self.gather,
            batch_size=None,
            sampler=wanted,
            num_workers=workers,
            prefetch_factor=AHEAD,
            collate_fn=as_it_is,
            generator=torch.Generator(),
        )

    def finish(self, visits: Visits) -> Batch:
        """The batch of opened pairs, encoded."""
        self.leave_out(visits.left_out)
        try:
            z_0, text = self.cache.read(visits.places, visits.pairs)
        except FloatingPointError:
            return self.finish(self.without_unencodable(visits))
        text = text.replace_rows(torch.tensor([drawn.empty_prompt for drawn in visits.drawn]), self.empty_text)
        maps = visits.maps
        if maps is None:
            maps = make_maps(self.config, visits.pairs, [drawn.extraction for drawn in visits.drawn])
        known = conditions.get(self.config.data.condition)
        batch = Batch(
            z_0,
            text.hidden_states,
            torch.stack([known.to_tensor(image) for image in maps]),
            torch.tensor([drawn.t for drawn in visits.drawn]),
            torch.stack([drawn.epsilon for drawn in visits.drawn]),
            self.base.added_conditions(text, *self.size),
            [pair.name for pair in visits.pairs],
        )
        return batch.to(self.device)

    def leave_out(self, found: Mapping[int, str]) -> None:
        """Use pairs no more, and report each once.

        Raises:
            InputError: when these are too many.
        """
        for place in found.keys() - self.reported:
            self.reported.add(place)
            self.pairs.broken[place] = found[place]
            self.report(self.pairs.name(place), found[place])
            self.pairs.check_share()

    def without_unencodable(self, visits: Visits) -> Visits:
        """The same visits without pairs of which the encoders make numbers that are not finite."""
        for place, pair in zip(visits.places, visits.pairs, strict=True):
            try:
                self.cache.read([place], [pair])
            except FloatingPointError as error:
                self.leave_out({place: str(error)})
        return self.gather.open(visits.refs, visits.drawn)


class Gatherer(Dataset[Visits]):
    """Opens pairs and makes maps: what worker processes can do; a data set for `DataLoader`, indexed by (step, part, parts).

    Args:
        config: the settings.
        pairs: to train on.
        size: width and height of the pictures in pixels.
        base: decides what the settings leave open.
        timesteps: length T of the noise schedule.
        latent_shape: (C, h, w).
    """

    def __init__(
        self,
        config: TrainConfig,
        pairs: TrainingPairs,
        size: tuple[int, int],
        base: StableDiffusion,
        timesteps: int,
        latent_shape: tuple[int, ...],
    ) -> None:
        self.config, self.pairs, self.size, self.latent_shape = config, pairs, size, latent_shape
        self.timesteps, self.is_wide = timesteps, is_wide(base)

    def __getitem__(self, key: tuple[int, int, int]) -> Visits:
        """The visits of a part of a step."""
        return self(key)

    def __call__(self, key: tuple[int, int, int]) -> Visits:
        """The visits of (step, part, parts)."""
        step, part, parts = key
        optimization = self.config.optimization
        refs = samples_of_step(step, optimization.batch_size, len(self.pairs), optimization.seed, part, parts)
        draw = timesteps_of_step(optimization, self.is_wide, self.timesteps, step), self.config.data.prompt_dropout
        return self.open(refs, [draw_randomness(ref, optimization.seed, self.latent_shape, *draw) for ref in refs])

    def open(self, refs: Sequence[SampleRef], drawn: Sequence[StepRandomness]) -> Visits:
        """Open the pairs of samples; draws belong to the sample, whichever pair it sees."""
        before, seed = set(self.pairs.broken), self.config.optimization.seed
        places, pairs = zip(*(self.pairs.open(ref.index, self.check_size) for ref in refs), strict=True)
        pairs = [with_caption(pair, draw_caption(ref, seed)) for ref, pair in zip(refs, pairs, strict=True)]
        # a network would be copied into every worker
        is_learned = "device" in conditions.defaults(conditions.get(self.config.data.condition))
        maps = None if is_learned else make_maps(self.config, pairs, [one.extraction for one in drawn])
        left_out = {place: problem for place, problem in self.pairs.broken.items() if place not in before}
        return Visits(refs, places, pairs, drawn, maps, left_out)

    def check_size(self, pair: Pair) -> None:
        """Refuse a picture of another size than the others.

        Raises:
            InputError: naming the pair.
        """
        if pair.image.size != self.size:
            (width, height), (w, h) = pair.image.size, self.size
            raise InputError(
                f"pair {pair.name!r} is {width}x{height}, others {w}x{h}",
                field="data.source",
                hint="train on pictures of one size",
            )


def as_it_is(visits: Any) -> Any:
    """What a worker process gives is not converted."""
    return visits


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
    return get_maps(pairs, name, parameters, ready=not config.data.extract)
