"""What was measured of one or several sets of pictures that were made from the same maps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zeroconv.evaluation.folders.picture_folder import PictureFolder
from zeroconv.metrics.bootstrap import Interval, bootstrap_mean

__all__ = ["Comparison", "FolderReport", "ScoredRow", "SetMeasure"]


@dataclass(frozen=True)
class ScoredRow:
    """One map and the pictures made from it.

    Attributes:
        stem: of the pictures' files.
        prompt: of the first set's picture; None where nobody says.
        seed: of its noise; None where nobody says.
        scores: all that is measured, by set and name, the fidelity first.
    """

    stem: str
    prompt: str | None
    seed: int | None
    scores: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class SetMeasure:
    """One number about a whole set of pictures, such as their distance to the true ones or how many follow their prompt.

    Attributes:
        name: of the measure, such as "FID".
        value: the number.
        low: of its 95 % interval; None where there is none.
        high: of its 95 % interval.
        better: which way is better.
        procedure: everything that it depends on: features, resizer, weights with their hash, number of pictures.
        of: the set, which a report fills in.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    better: Literal["higher", "lower"] = "higher"
    procedure: Mapping[str, Any] = field(default_factory=dict[str, Any])
    of: str = ""

    def __str__(self) -> str:
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{interval}"


@dataclass(frozen=True)
class Comparison:
    """The paired difference of two sets: each picture against the one that was made from the same map and prompt.

    Attributes:
        of: the set.
        to: the set it is compared with.
        measure: what is compared.
        difference: mean of `of` minus `to`, with its interval.
        ahead: share of the maps where `of` has the larger number; ties count half.
    """

    of: str
    to: str
    measure: str
    difference: Interval
    ahead: float

    def __str__(self) -> str:
        d = self.difference
        sure = "" if d.low > 0 or d.high < 0 else ": the interval holds 0, so neither is shown to be ahead"
        return f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}], larger in {self.ahead:.0%} of the pictures{sure}"


@dataclass(frozen=True)
class FolderReport:
    """What `measure_folders` measured.

    Attributes:
        condition: name of the condition.
        measure: name of its fidelity measure, higher obeys better.
        settings: who judged, and at which size.
        folders: the sets by name, the judged one first.
        maps: the file of each map by stem.
        rows: one per map.
        left_out: stems whose map asks for nothing, such as a black one, each with the reason.
        notes: what a reader must know, such as that maps were resized.
        set_measures: numbers about whole sets.
        compared: pairs of sets whose paired difference is of interest.
    """

    condition: str
    measure: str
    settings: Mapping[str, Any]
    folders: Mapping[str, PictureFolder] = field(repr=False)
    maps: Mapping[str, Path] = field(repr=False)
    rows: Sequence[ScoredRow] = field(repr=False)
    left_out: Mapping[str, str]
    notes: Sequence[str] = ()
    set_measures: Sequence[SetMeasure] = ()
    compared: Sequence[tuple[str, str]] = ()

    @property
    def measures(self) -> list[str]:
        """Names of all that was measured of each picture, the fidelity first."""
        return list(next(iter(self.rows[0].scores.values())))

    def values(self, of: str, measure: str | None = None) -> list[float]:
        """One number per map: of a set, the fidelity if no measure is named."""
        return [row.scores[of][measure or self.measure] for row in self.rows]

    def interval(self, of: str, measure: str | None = None) -> Interval:
        """Their mean with its 95 % bootstrap interval."""
        return bootstrap_mean(self.values(of, measure))

    def compare(self, of: str, to: str, measure: str | None = None) -> Comparison:
        """The paired difference of two sets; the maps are resampled, so a hard map is hard for both."""
        pairs = list(zip(self.values(of, measure), self.values(to, measure), strict=True))
        ahead = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
        return Comparison(of, to, measure or self.measure, bootstrap_mean([a - b for a, b in pairs]), ahead)

    def lines(self) -> list[str]:
        """The result for a person."""
        width = max(map(len, (*self.folders, *self.measures, *(one.name for one in self.set_measures))))
        left_out = f", {len(self.left_out)} left out whose maps ask for nothing" if self.left_out else ""
        lines = [f"{self.measure} over {len(self.rows)} pictures, with 95 % intervals{left_out}"]
        lines += [f"  {name:{width}}  {self.interval(name)}" for name in self.folders]
        lines += [f"  {one.of} minus {one.to}: {one}" for one in (self.compare(*pair) for pair in self.compared)]
        for measure in self.measures[1:]:
            values = (f"{name} {self.interval(name, measure).value:.3f}" for name in self.folders)
            lines.append(f"  {measure:{width}}  {', '.join(values)}")
        return [*lines, *self.set_lines(width), *(f"  note: {note}" for note in self.notes)]

    def set_lines(self, width: int) -> list[str]:
        """The numbers about whole sets for a person, a line for each measure, whose name takes so many characters."""
        by_name: dict[str, list[str]] = {}
        for one in self.set_measures:
            by_name.setdefault(one.name, []).append(f"{one.of} {one}")
        return [f"  {name:{width}}  {', '.join(values)}" for name, values in by_name.items()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        comparisons = [self.compare(*pair, measure) for pair in self.compared for measure in self.measures]
        sets = {
            name: {"folder": str(folder.path), **{one: self.interval(name, one).to_dict() for one in self.measures}}
            for name, folder in self.folders.items()
        }
        return {
            "condition": self.condition,
            "measure": self.measure,
            "pictures": len(self.rows),
            "left_out": dict(self.left_out),
            "sets": sets,
            "comparisons": [{**vars(one), "difference": one.difference.to_dict()} for one in comparisons],
            "set_measures": [vars(one) for one in self.set_measures],
            "settings": dict(self.settings),
            "notes": list(self.notes),
            "rows": [vars(row) for row in self.rows],
        }
