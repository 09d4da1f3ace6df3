"""The batch of a step: a pure function of the settings, the data, the step and the part of it that is asked for."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from zeroconv import conditions
from zeroconv.data.latent_cache import LatentCache
from zeroconv.data.prepared import PreparedCache
from zeroconv.data.sampling_order import SampleRef, draw_left_out
from zeroconv.stable_diffusion import AddedConditions, PromptEncoding, StableDiffusion
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.training_pairs import TrainingPairs
from zeroconv.training.data.views import Views
from zeroconv.training.data.visits import Gatherer, Visits, make_maps

__all__ = ["Batch", "Batches"]

PR_SET_PDEATHSIG = 1  # of prctl(2)
AHEAD = 2  # parts that each worker process prepares before they are asked for


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        z_0: clean latents, (B, C, h, w).
        text: text states, some of them of the empty prompt, (B, N, D).
        condition: condition images, (B, 3, H, W) in [0, 1], and of n conditions (B, 3 n, H, W).
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


class Batches:
    """The batches of a run: latents and prompts from the cache, maps made anew, everything random keyed by the seed.

    Args:
        config: the settings.
        base: the locked base.
        pairs: to train on.
        cache: latents and prompts of the whole data set.
        size: width and height of the pictures in pixels.
        timesteps: length T of the noise schedule.
        device: where the batches go.
        report: called with name and problem of each pair that turns out to be unusable.
        views: what is seen of pictures of any size; whole ones of one size if left out.
    """

    def __init__(
        self,
        config: TrainConfig,
        base: StableDiffusion,
        pairs: TrainingPairs,
        cache: LatentCache | PreparedCache,
        size: tuple[int, int],
        timesteps: int,
        device: str = "cpu",
        report: Callable[[str, str], None] = lambda *_: None,
        views: Views | None = None,
    ) -> None:
        self.config, self.base, self.pairs, self.cache = config, base, pairs, cache
        self.views, self.device, self.report, self.reported = views, device, report, set(pairs.broken)
        self.empty_text = base.encode_text([""]).map(lambda tensor: tensor.float().cpu())
        prepared = cache if isinstance(cache, PreparedCache) else None
        self.gather = Gatherer(config, pairs, size, base, timesteps, prepared, views)

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
            worker_init_fn=partial(end_with_parent, os.getpid()),
        )

    def finish(self, visits: Visits) -> Batch:
        """The batch of opened pairs, encoded."""
        self.leave_out(visits.left_out)
        try:
            z_0, text = self.read(visits)
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
            torch.stack([self.left_in(known.to_tensor(image), ref) for image, ref in zip(maps, visits.refs, strict=True)]),
            torch.tensor([drawn.t for drawn in visits.drawn]),
            torch.stack([drawn.epsilon for drawn in visits.drawn]),
            self.added_conditions(text, visits),
            [self.pairs.name(place) for place in visits.places],
        )
        return batch.to(self.device)

    def left_in(self, condition: Tensor, ref: SampleRef) -> Tensor:
        """The condition image of a sample, (3 n, H, W) of n conditions, with zeros in place of the maps that are left out."""
        data, seed = self.config.data, self.config.optimization.seed
        if data.condition_dropout:
            for image, draw in zip(condition.split(3), draw_left_out(ref, seed), strict=False):  # the draws do not end
                image *= draw >= data.condition_dropout
        return condition

    def read(self, visits: Visits) -> tuple[Tensor, PromptEncoding]:
        """The latents and prompts of visits, from the cache.

        Raises:
            FloatingPointError: when the encoders give a number that is not finite in half precision.
            InputError: when a prepared row is damaged.
        """
        rows = [self.pairs.indices[place] for place in visits.places]
        if isinstance(self.cache, PreparedCache):
            return self.cache.read(rows, visits.captions, [number for _, number in visits.views])
        if self.views is None:
            return self.cache.read(rows, visits.pairs)
        parts = [row * self.views.per_sample + number for row, (_, number) in zip(rows, visits.views, strict=True)]
        return self.cache.read(rows, visits.pairs, parts)

    def added_conditions(self, text: PromptEncoding, visits: Visits) -> AddedConditions | None:
        """SDXL's conditioning beside the text states: of a part of a picture its true size and place."""
        added = self.base.added_conditions(text, *visits.size)
        if added is None or not visits.views:
            return added
        return replace(added, time_ids=torch.tensor([view.time_ids() for view, _ in visits.views], dtype=torch.float32))

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
        for number, place in enumerate(visits.places):
            one = slice(number, number + 1)
            alone = replace(
                visits,
                places=visits.places[one],
                pairs=visits.pairs[one],
                captions=visits.captions[one],
                views=visits.views[one],
            )
            try:
                self.read(alone)
            except FloatingPointError as error:
                self.leave_out({place: str(error)})
        return self.gather.open(visits.refs, visits.drawn, visits.size)


def end_with_parent(parent: int, _: int = 0) -> None:
    """Have the system (Linux) end this worker when its parent dies, however: it might wait for a sibling's pipe for ever.

    Args:
        parent: process id of the one that reads what the worker prepares.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it was asked for
            os.kill(os.getpid(), signal.SIGKILL)


def as_it_is(visits: Any) -> Any:
    """What a worker process gives is not converted."""
    return visits
