"""The result of a study as values, lines, and a page that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zeroconv.study.discrimination import DiscriminationResult, summarize_discrimination
from zeroconv.study.order import Aspect, Kind
from zeroconv.study.ranking import RankingResult, summarize_ranking
from zeroconv.study.store import Rater, Study, Vote

__all__ = ["StudyReport", "format_p", "report_study"]

ASPECTS: tuple[Aspect, ...] = ("quality", "fidelity")


@dataclass(frozen=True)
class StudyReport:
    """What the votes say so far.

    Attributes:
        title: of the study.
        kind: "ranking" or "discrimination".
        created: when the study was made, in UTC.
        methods: their names.
        finished: raters who answered everything.
        unfinished: raters who answered something.
        absent: raters who answered nothing.
        finished_only: whether the votes of the unfinished are left out.
        votes: those that count.
        rankings: of each aspect that has votes.
        discrimination: of the two-alternative test; None without votes.
    """

    title: str
    kind: Kind
    created: str
    methods: tuple[str, ...]
    finished: int
    unfinished: int
    absent: int
    finished_only: bool
    votes: tuple[Vote, ...]
    rankings: tuple[RankingResult, ...]
    discrimination: DiscriminationResult | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with every vote."""
        return {
            "title": self.title,
            "kind": self.kind,
            "created": self.created,
            "methods": list(self.methods),
            "raters": {"finished": self.finished, "unfinished": self.unfinished, "absent": self.absent},
            "finished_only": self.finished_only,
            "rankings": {one.aspect: one.to_dict() for one in self.rankings},
            "discrimination": self.discrimination and self.discrimination.to_dict(),
            "votes": [
                {
                    "rater": vote.rater + 1,
                    "item": vote.item,
                    "aspect": vote.aspect,
                    "ranks": dict(vote.ranks),
                    "shown": list(vote.shown),
                    "at": vote.at,
                }
                for vote in self.votes
            ],
        }

    def counts(self) -> str:
        """Who voted."""
        total = self.finished + self.unfinished + self.absent
        left = ", left out here" if self.finished_only else ", counted by what they answered"
        unfinished = f"{self.unfinished} in part{left if self.unfinished else ''}"
        return f"{len(self.votes)} votes; of {total} raters {self.finished} finished, {unfinished}, {self.absent} not begun"

    def lines(self) -> list[str]:
        """The result for a person."""
        found = [f"{self.title}: {self.counts()}"]
        for result in self.rankings:
            found += ["", f"{result.aspect}: average human ranking ± deviation over {result.raters} raters, best first"]
            width = max(len(one.method) for one in result.methods)
            found += [f"  {one.method:{width}}  {format_mean(one.mean, one.deviation)}" for one in result.methods]
            found += [f"  {line}" for line in ranking_notes(result)]
            found += [f"    {line}" for line in comparison_lines(result)]
        if self.discrimination is not None:
            found += ["", *discrimination_lines(self.discrimination)]
        if not self.votes:
            found.append("no votes to judge yet")
        return found


def report_study(study: Study, finished_only: bool = False) -> StudyReport:
    """Judge the votes of a study, which may still go on.

    Args:
        study: it.
        finished_only: leave out raters who did not answer everything.

    Raises:
        InputError: when SciPy is missing.
    """
    raters = study.raters()
    votes = [vote for vote in study.votes() if not finished_only or is_finished(raters[vote.rater])]
    is_ranking = study.kind == "ranking"
    rankings = [summarize_ranking(votes, study.methods, aspect) for aspect in ASPECTS] if is_ranking else []
    return StudyReport(
        title=study.title,
        kind=study.kind,
        created=study.created,
        methods=study.methods,
        finished=sum(map(is_finished, raters)),
        unfinished=sum(0 < rater.done < rater.total for rater in raters),
        absent=sum(rater.done == 0 for rater in raters),
        finished_only=finished_only,
        votes=tuple(votes),
        rankings=tuple(result for result in rankings if result is not None),
        discrimination=None if is_ranking else summarize_discrimination(votes, study.methods),
    )


def is_finished(rater: Rater) -> bool:
    """Whether a rater answered everything."""
    return rater.done == rater.total


def format_mean(mean: float, deviation: float | None) -> str:
    """As in the paper's tables: 4.22 ± 0.43."""
    return f"{mean:.2f}" if deviation is None else f"{mean:.2f} ± {deviation:.2f}"


def format_p(p: float) -> str:
    """A p value that does not pretend to be exact, or zero."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def ranking_notes(result: RankingResult) -> list[str]:
    """Agreement and the test of all methods at once."""
    notes: list[str] = []
    if result.agreement is None or result.chance is None:
        notes.append("agreement: needs two raters of one item")
    else:
        notes.append(f"agreement of raters (Kendall's W): {result.agreement:.2f}, by chance {result.chance:.2f}")
    if result.friedman is not None:
        notes.append(f"all methods alike? Friedman chi-square {result.friedman[0]:.2f}, {format_p(result.friedman[1])}")
    if not result.comparisons:
        notes.append("significance: needs two raters")
    return notes


def comparison_lines(result: RankingResult) -> Sequence[str]:
    """The pairs, with p of Wilcoxon's test, corrected by Holm's method."""
    return [f"{one.first} over {one.second} by {one.difference:.2f}, {format_p(one.p_holm)}" for one in result.comparisons]


def discrimination_lines(result: DiscriminationResult) -> list[str]:
    """Precision and its tests."""
    precision = format_mean(result.precision, result.deviation)
    found = [f"which model made this: precision {precision} over {result.raters} raters, 0.50 is guessing"]
    found.append(f"  over votes: {result.correct} of {result.votes} right, binomial test {format_p(result.p_binomial)}")
    if result.p_raters is not None:
        found.append(f"  over raters: t test {format_p(result.p_raters)}")
    found += [f"  {one.method}: recognized in {one.recognized} of {one.shown} trials" for one in result.models]
    return found
