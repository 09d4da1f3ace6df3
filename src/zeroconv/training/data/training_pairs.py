"""The pairs of a run: which are held out, and what happens where one cannot be used."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from math import ceil

from torch.utils.data import get_worker_info

from zeroconv.data import Pair, Pairs
from zeroconv.errors import InputError

__all__ = ["TrainingPairs", "choose_held_out", "open_held_out"]


class TrainingPairs:
    """The pairs to train on. Where one cannot be used, its visit sees the next one that can; all others stay in place.

    Args:
        pairs: the data set.
        indices: which of its pairs are trained on.
        largest_share: of pairs that may be left out; one may always be.
        broken: what is wrong with those known to be unusable, by their index in the data set.

    Raises:
        InputError: when more of them are unusable than may be left out.
    """

    def __init__(
        self,
        pairs: Pairs,
        indices: Sequence[int],
        largest_share: float,
        broken: Mapping[int, str],
    ) -> None:
        self.pairs, self.indices, self.largest_share = pairs, list(indices), largest_share
        self.max_captions = pairs.max_captions
        self.sizes: Mapping[int, tuple[int, int]] = {}  # of the pictures, where a visit depends on them
        self.broken = {place: broken[index] for place, index in enumerate(self.indices) if index in broken}
        self.check_share()

    def __len__(self) -> int:
        """How many pairs, those left out among them."""
        return len(self.indices)

    def name(self, place: int) -> str:
        """The name of a pair."""
        return self.pairs.names[self.indices[place]]

    def open(self, place: int, check: Callable[[Pair], None], among: Sequence[int] | None = None) -> tuple[int, Pair]:
        """The pair that a visit of `place` sees, and its place; those that cannot be used are noted in `broken`.

        Args:
            place: 0 … len - 1.
            check: raises `InputError` for a pair that cannot be used.
            among: places, ascending, that may take its place; all of them if left out.

        Raises:
            InputError: when more cannot be used than may be left out.
        """
        for found in self.in_turn(place, among):
            if found not in self.broken:
                try:
                    pair = self.pairs[self.indices[found]]
                    check(pair)
                    if pair.image.size != self.sizes.get(found, pair.image.size):
                        raise InputError(f"pair {pair.name!r} has another size than when the run began", field="data.source")
                except (OSError, ValueError) as error:
                    self.broken[found] = str(error)
                    if get_worker_info() is None:  # a worker process leaves it to the one that trains
                        self.check_share()
                else:
                    return found, pair
        raise self.refuse()

    def usable(self, place: int, among: Sequence[int] | None = None) -> int:
        """The place of the pair that a visit of `place` sees, as far as is known without opening it; arguments as `open`.

        Raises:
            InputError: when no pair can be used.
        """
        found = next((one for one in self.in_turn(place, among) if one not in self.broken), None)
        if found is None:
            raise self.refuse()
        return found

    def in_turn(self, place: int, among: Sequence[int] | None) -> Iterator[int]:
        """The places that a visit of `place` tries, one after the other."""
        places = range(len(self)) if among is None else among
        first = bisect_left(places, place)
        return chain(islice(places, first, None), islice(places, first))

    def check_share(self) -> None:
        """Refuse to go on with too few pairs.

        Raises:
            InputError: when more cannot be used than may be left out.
        """
        allowed = min(ceil(self.largest_share * len(self)), len(self) - 1)
        if len(self.broken) > allowed:
            raise self.refuse(f", {allowed} may be left out")

    def refuse(self, limit: str = "") -> InputError:
        """The error for too few pairs."""
        return InputError(
            f"{len(self.broken)} of {len(self)} pairs cannot be used{limit} (first: {self.broken[min(self.broken)]})",
            field="data.source",
            hint="`zeroconv data check` lists all; mend them, or give a larger max_broken",
        )


def open_held_out(
    pairs: Pairs, count: int, broken: dict[int, str], before: Collection[str] | None, unfit: Collection[int] = ()
) -> tuple[list[int], list[Pair]]:
    """The pairs that are never trained on, and their indices; those that turn out to be unusable are added to `broken`.

    Args:
        pairs: the data set.
        count: how many are held out.
        broken: what is wrong with those known to be unusable, by index.
        before: names of those held out when the run began; None for a new one.
        unfit: indices of pairs that can be used and are not held out.

    Raises:
        InputError: when nothing would be left to train on, or a pair that was held out cannot be used any more.
    """
    while True:
        others = {index: "it is of another bucket" for index in unfit if index not in broken}
        indices, opened = choose_held_out(pairs.names, count, broken | others, before), list[Pair]()
        for index in indices:
            try:
                opened.append(pairs[index])
            except (OSError, ValueError) as error:
                if before is not None:
                    raise
                broken[index] = str(error)
        if len(opened) == len(indices):
            return indices, opened


def choose_held_out(names: Sequence[str], count: int, broken: Mapping[int, str], before: Collection[str] | None) -> list[int]:
    """Which pairs are never trained on: those that the run held out before, else the last `count` that can be used.

    Args:
        names: of all pairs.
        count: how many are held out.
        broken: what is wrong with those that cannot be used, by index.
        before: names of those held out when the run began; None for a new one.

    Raises:
        InputError: when nothing would be left to train on, or a pair that was held out is not there any more.
    """
    if before is not None:
        if missing := sorted(set(before) - set(names)):
            raise InputError(
                f"the run holds out {missing[0]!r}, which is not in the data any more",
                field="data.source",
                hint="put it back, or begin anew with --fresh",
            )
        return [index for index, name in enumerate(names) if name in before]
    usable = [index for index in range(len(names)) if index not in broken]
    if len(usable) <= count:
        found = f"the data set has {len(names)} pairs" + (f", {len(usable)} of them usable," if broken else "")
        hint = "give more pairs, or a smaller probe_count"
        if first := next(iter(broken.values()), None):
            hint += f", or mend those that are not usable (`zeroconv data check` lists them), first: {first}"
        raise InputError(f"{found} and {count} are held out", field="probe.count", hint=hint)
    return usable[-count:]
