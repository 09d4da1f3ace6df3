"""What a prompt check found, and the shares that are reported of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zeroconv.metrics.bootstrap import Interval, bootstrap
from zeroconv.world.mentions import Mention

__all__ = ["Finding", "PromptCheck", "share_found", "share_in_colour"]


@dataclass(frozen=True)
class Finding:
    """What became of a thing that a caption names.

    Attributes:
        mention: the thing.
        found: whether it is there; of a part, whether the thing is there that it is a part of.
        in_colour: whether it is there in the colour that was said; None where none was said.
    """

    mention: Mention
    found: bool
    in_colour: bool | None


@dataclass(frozen=True)
class PromptCheck:
    """What became of everything that one caption names.

    Attributes:
        findings: one for each thing that could be looked for.
        unread: the words that could not.
    """

    findings: tuple[Finding, ...]
    unread: tuple[str, ...]

    def counts(self, surroundings: bool = False, of_found: bool = False) -> tuple[int, int, int, int]:
        """Things named, of them found, colours said, of them right; of objects, or of what surrounds them.

        Parts such as a roof count by their colour alone. With `of_found` all that was not found is left out.
        """
        chosen = [one for one in self.findings if one.mention.is_surrounding == surroundings and (one.found or not of_found)]
        things = [one.found for one in chosen if not one.mention.is_part]
        colours = [one.in_colour for one in chosen if one.in_colour is not None]
        return len(things), sum(things), len(colours), sum(colours)


def share_found(checks: Sequence[PromptCheck], surroundings: bool = False) -> Interval | None:
    """Of the things that captions name, the share that is there; None where they name none."""
    return ratio([check.counts(surroundings)[:2] for check in checks])


def share_in_colour(checks: Sequence[PromptCheck], surroundings: bool = False, of_found: bool = False) -> Interval | None:
    """Of the things whose colour is said, the share that is there in that colour; None where none is said.

    What is not there has no colour and counts as wrong; with `of_found` it does not count.
    """
    return ratio([check.counts(surroundings, of_found)[2:] for check in checks])


def ratio(counts: Sequence[tuple[int, int]]) -> Interval | None:
    """Sum of the second counts over that of the first, with the interval over pictures."""
    every, some = zip(*counts, strict=True) if counts else ((), ())
    if not sum(every):
        return None
    return bootstrap([every, some], lambda columns: columns[1].sum(-1) / np.maximum(columns[0].sum(-1), 1), seed=0)
