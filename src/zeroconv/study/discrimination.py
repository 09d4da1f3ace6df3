"""Can raters tell two models apart? Their precision, and whether guessing would explain it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from zeroconv.study.ranking import scipy_stats
from zeroconv.study.store import Vote

__all__ = ["DiscriminationResult", "ModelCount", "summarize_discrimination"]


@dataclass(frozen=True)
class ModelCount:
    """The trials of one model.

    Attributes:
        method: its name.
        shown: trials with a picture of it.
        recognized: how many of those were attributed to it.
    """

    method: str
    shown: int
    recognized: int


@dataclass(frozen=True)
class DiscriminationResult:
    """All about a two-alternative test.

    Attributes:
        raters: who voted.
        votes: trials.
        correct: how many were right.
        precision: mean over raters of the share that was right; 0.5 is guessing.
        deviation: its sample standard deviation over raters; None for a single rater.
        p_binomial: of the two-sided binomial test of all votes against 0.5.
        p_raters: of the two-sided t test of the raters' precisions against 0.5, which does not take the votes of one rater
            for independent; None for a single rater, or when all have the same precision.
        models: the trials by who made the picture.
    """

    raters: int
    votes: int
    correct: int
    precision: float
    deviation: float | None
    p_binomial: float
    p_raters: float | None
    models: list[ModelCount]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def summarize_discrimination(votes: Sequence[Vote], methods: Sequence[str]) -> DiscriminationResult | None:
    """Judge the votes of "which model made this".

    Args:
        votes: all of them.
        methods: the two names.

    Returns:
        None when nobody voted.

    Raises:
        InputError: when SciPy is missing.
    """
    if not votes:
        return None
    raters = sorted({vote.rater for vote in votes})
    shares = [fmean(is_right(vote) for vote in votes if vote.rater == rater) for rater in raters]
    correct = sum(is_right(vote) for vote in votes)
    varied = len(set(shares)) > 1
    return DiscriminationResult(
        raters=len(raters),
        votes=len(votes),
        correct=correct,
        precision=fmean(shares),
        deviation=stdev(shares) if len(raters) > 1 else None,
        p_binomial=float(scipy_stats().binomtest(correct, len(votes), 0.5).pvalue),
        p_raters=float(scipy_stats().ttest_1samp(shares, 0.5).pvalue) if varied else None,
        models=[count(votes, name) for name in methods],
    )


def is_right(vote: Vote) -> bool:
    """Whether the model that was named made the picture."""
    return set(vote.ranks) == set(vote.shown)


def count(votes: Sequence[Vote], method: str) -> ModelCount:
    """The trials of a model."""
    own = [vote for vote in votes if vote.shown == (method,)]
    return ModelCount(method, len(own), sum(map(is_right, own)))
