"""Which samples a step sees where they lie in buckets: all of one bucket, each bucket as often as its share of the samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from zeroconv.data.sampling_order import ROUNDS, SampleRef, permute
from zeroconv.diffusion import generator

__all__ = ["BucketOrder"]


@dataclass(frozen=True)
class BucketOrder:
    """Bucket b has `n_b` samples, which it gives in an order of its own, a new permutation in each of its epochs.

    Batches of `B` are taken from that order without a gap: after e epochs of the run a bucket has given `floor(e n_b / B)` of
    them, so that of each bucket `B - 1` samples at most wait for the next epoch. Within an epoch the buckets' batches are
    mixed, by a permutation too.

    Attributes:
        members: places of the samples, by bucket; none is empty.
        batch_size: samples of a step, over all processes.
        seed: of the run.
    """

    members: Sequence[Sequence[int]]
    batch_size: int
    seed: int

    def batches_before(self, epoch: int) -> list[int]:
        """How many batches each bucket has given before an epoch."""
        return [epoch * len(bucket) // self.batch_size for bucket in self.members]

    def batch_of_step(self, step: int) -> tuple[int, int]:
        """Which bucket a step's batch is of, and which of that bucket's batches it is, both counted from 0."""
        epoch = step * self.batch_size // sum(map(len, self.members))  # that many have begun at least
        while sum(after := self.batches_before(epoch + 1)) <= step:
            epoch += 1
        before = self.batches_before(epoch)
        count = sum(after) - sum(before)
        place = permute(step - sum(before), count, keys(self.seed, "buckets", epoch))
        for bucket, (first, end) in enumerate(zip(before, after, strict=True)):
            if place < end - first:
                return bucket, first + place
            place -= end - first
        raise AssertionError("unreachable: the batches of an epoch are those of its buckets")

    def samples_of_step(self, step: int, part: int = 0, parts: int = 1) -> tuple[int, list[SampleRef]]:
        """The bucket of a step, and the samples of a part of it.

        Args:
            step: counted from 0.
            part: which one; all parts, one after the other, are the whole step.
            parts: into how many equal parts it is divided.
        """
        bucket, batch = self.batch_of_step(step)
        members, share = self.members[bucket], self.batch_size // parts
        refs: list[SampleRef] = []
        for number in range(batch * self.batch_size + part * share, batch * self.batch_size + (part + 1) * share):
            epoch, place = divmod(number, len(members))
            refs.append(SampleRef(members[permute(place, len(members), keys(self.seed, "bucket", bucket, epoch))], epoch))
        return bucket, refs


@lru_cache(maxsize=64)
def keys(seed: int, *key: int | str) -> tuple[int, ...]:
    """The keys of a permutation."""
    return tuple(torch.randint(2**63 - 1, (ROUNDS,), generator=generator(seed, *key)).tolist())
