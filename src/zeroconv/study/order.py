"""Who sees what in which order: drawn for each rater from the key of the study, and unknown without it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

__all__ = ["Aspect", "Kind", "PlannedQuestion", "draw_teaching", "plan_discrimination", "plan_labels", "plan_ranking"]

Kind = Literal["ranking", "discrimination"]
Aspect = Literal["quality", "fidelity", "model"]


@dataclass(frozen=True)
class PlannedQuestion:
    """A question to one rater.

    Attributes:
        item: index of the item.
        aspect: what is asked.
        methods: indices of the methods whose pictures are seen, in the order in which they are seen.
    """

    item: int
    aspect: Aspect
    methods: tuple[int, ...]


def keyed(key: bytes, *words: object) -> Random:
    """A generator for one purpose."""
    digest = hashlib.sha256(key + "/".join(map(str, words)).encode()).digest()
    return Random(int.from_bytes(digest, "big"))


def plan_ranking(key: bytes, rater: int, items: int, methods: int, aspects: Sequence[Aspect]) -> list[PlannedQuestion]:
    """Every item once for each aspect, items in random order, the pictures in another order at each question.

    The aspects of one item follow each other, so that raters who leave early have judged both alike.
    """
    random = keyed(key, "ranking", rater)
    asked: list[tuple[int, Aspect]] = [(item, aspect) for item in random.sample(range(items), items) for aspect in aspects]
    return [PlannedQuestion(item, aspect, tuple(random.sample(range(methods), methods))) for item, aspect in asked]


def plan_discrimination(key: bytes, rater: int, items: Sequence[int], trials: int) -> list[PlannedQuestion]:
    """Trials on different items, each with the picture of one of two methods, which a fair coin chooses.

    The coin makes every guess right with probability 1/2, whatever the rater thinks of, which is what the binomial test
    assumes. No item comes twice, so that no picture is beside its counterpart.
    """
    random = keyed(key, "discrimination", rater)
    return [PlannedQuestion(item, "model", (random.randrange(2),)) for item in random.sample(list(items), trials)]


def plan_labels(key: bytes, rater: int, methods: int) -> tuple[int, ...]:
    """The methods that are called A, B, … to a rater."""
    return tuple(keyed(key, "labels", rater).sample(range(methods), methods))


def draw_teaching(key: bytes, items: int, teaching: int) -> list[int]:
    """Indices of the items that are shown as examples, the same for all raters, and never asked about."""
    return sorted(keyed(key, "teaching").sample(range(items), teaching))
