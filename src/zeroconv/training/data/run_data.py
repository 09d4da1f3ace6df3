"""The data of a run: what is trained on, what is held out, and what there is to say about it."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np

from zeroconv import conditions
from zeroconv.data import FolderPairs, get_maps, open_pairs
from zeroconv.data.latent_cache import LatentCache
from zeroconv.data.map_messages import look_at_maps
from zeroconv.data.pair_views import centre
from zeroconv.data.prepared import PreparedCache, ViewSettings
from zeroconv.data.prepared.comparison import check_base, check_files, check_views
from zeroconv.data.readiness import check_ready
from zeroconv.messages import Message
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.defaults import default_probe_count, extractor_parameters, is_wide
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.caches import open_cache, open_prepared
from zeroconv.training.data.training_pairs import TrainingPairs, open_held_out
from zeroconv.training.data.views import Buckets, Views
from zeroconv.training.data.visits import make_maps
from zeroconv.training.processes import Processes

__all__ = ["RunData"]


class RunData:
    """Opened before a run begins: what is wrong with the data is said now.

    Args:
        config: of the run.
        before: names of the pairs that the run held out when it began; None for a new one.
        opened: gives the locked base; asked where nothing else says how many pairs are held out, or which buckets there are.

    Raises:
        InputError: when there are no such pairs, or too many that cannot be used.
    """

    def __init__(self, config: TrainConfig, before: Collection[str] | None, opened: Callable[[], StableDiffusion]) -> None:
        data, self.config = config.data, config
        self.found = open_pairs(data.source, data.condition)
        self.prepared = open_prepared(data, self.found)
        self.has_maps = self.prepared is not None and self.prepared.has_maps(data.condition, data.extract)
        if self.prepared is not None:
            broken = self.prepared.broken
        else:
            broken = check_ready(self.found, data.extract, not data.buckets) if isinstance(self.found, FolderPairs) else {}
        seen = ViewSettings.of_base(opened(), data.resolution, data.crops, data.flip) if data.buckets else None
        if self.prepared is not None:
            check_views(self.prepared, seen)
        self.buckets = None
        if seen is not None and self.prepared is not None:
            self.buckets = Buckets(self.prepared.pictures(), broken)
        elif seen is not None:
            self.buckets = Buckets.of_files(self.found, seen.buckets, broken)
        shown = self.buckets and self.buckets.largest  # held-out pictures are of one bucket, that of most
        unfit = self.buckets.outside(shown) if self.buckets and shown else ()
        count = config.probe.count or (
            len(before) if before is not None else default_probe_count(is_wide(opened()), len(self.found) - len(unfit))
        )
        indices, self.probe_pairs = open_held_out(self.found, count, broken, before, unfit)
        if shown:
            self.probe_pairs = [centre(pair, shown) for pair in self.probe_pairs]
        self.held_out = [self.found.names[index] for index in indices]
        rest = sorted(set(range(len(self.found))) - set(indices))
        self.pairs = TrainingPairs(self.found, rest, data.max_broken, broken)
        self.views = Views(config, self.buckets, rest, self.prepared) if self.buckets else None
        if self.views:
            self.pairs.sizes = self.views.sizes
        self.left_out = [(self.pairs.name(place), problem) for place, problem in sorted(self.pairs.broken.items())]
        self.size = self.probe_pairs[0].image.size
        if not self.has_maps:
            first = self.pairs.open(0, lambda _: None)[1]
            make_maps(config, [first], [np.random.default_rng(0)])
        parameters = [extractor_parameters(config)] * len(self.probe_pairs)
        self.probe_maps = get_maps(self.probe_pairs, data.condition, parameters, asked=data.extract)

    def check_files(self) -> None:
        """Refuse pictures that are others than when they were prepared; one process looks for all.

        Raises:
            InputError: naming the first.
        """
        if self.prepared is not None:
            check_files(self.prepared, self.found)

    def check_base(self, base: StableDiffusion) -> None:
        """Refuse what was prepared with another base, or for pictures of another size.

        Raises:
            InputError: naming what differs.
        """
        if self.prepared is not None:
            check_base(self.prepared, base, self.size)

    def open_cache(self, own: Path, base: StableDiffusion) -> LatentCache | PreparedCache:
        """The latents and prompts of the data set: prepared ones, else as far as they are known.

        Args:
            own: the run's folder for them, where the settings name no other.
            base: encodes pictures and prompts.

        Raises:
            OSError: when the disk has no room for all rows.
        """
        if self.prepared is not None:
            return self.prepared
        size, views = (self.views.capacity, self.views.per_sample) if self.views else (self.size, None)
        return open_cache(self.config.data.cache, own, base, self.found.names, size, self.found.max_captions, views)

    def left_out_by_others(self, processes: Processes) -> list[tuple[str, str]]:
        """Pairs that other processes have left out and this one has not met yet, each with the reason; all must ask at once."""
        known = {name for name, _ in self.left_out}
        found = {name: problem for each in processes.of_all(self.left_out) for name, problem in each}
        return [(name, problem) for name, problem in found.items() if name not in known]

    def messages(self) -> Iterator[Message]:
        """What a user should know: who reads the maps of probes, maps that look wrong, pairs that are left out."""
        data, reextract = self.config.data, self.config.probe.judge
        warning = conditions.get(data.condition).domain_warning(data.extract | reextract, "--set judge.method=…")
        if warning and not data.source.startswith("world:"):
            yield Message(f"in probes {warning}", "probe.domain")
        if self.buckets:
            yield Message(self.buckets.describe(data.condition), "data.buckets", "info")
        if isinstance(self.found, FolderPairs) and not data.extract and not self.has_maps:
            yield from look_at_maps(self.found)
        if self.left_out:
            count = f"{len(self.left_out)} of {len(self.pairs)} pairs cannot be used and are left out"
            where = "skipped.jsonl in the run folder lists them"
            yield Message(f"{count} (first: {self.left_out[0][1]}); {where}", "data.left-out")
