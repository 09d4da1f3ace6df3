"""The pictures of a plan measured: the same report as of pictures in memory, with steps and conflicting prompts beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zeroconv import conditions
from zeroconv.conditions import Condition
from zeroconv.errors import InputError
from zeroconv.evaluation.folders.folder_report import FolderReport
from zeroconv.evaluation.folders.maker import FolderMaker
from zeroconv.evaluation.folders.making import list_pictures
from zeroconv.evaluation.folders.measuring import Measurer, measure_folders, open_map
from zeroconv.evaluation.folders.picture_folder import PictureFolder
from zeroconv.evaluation.folders.plan import CONFLICT, CURVE_PICTURES, MAPS, RECONSTRUCTION, TRUTH, WITH, WITHOUT
from zeroconv.evaluation.report import Example, FidelityReport, Row
from zeroconv.metrics.bootstrap import Interval, bootstrap_mean

__all__ = ["CEILING", "CONFLICTING", "CONTROLLED", "UNCONTROLLED", "GeneratedReport", "StepsPoint", "measure_pictures"]

CONTROLLED, UNCONTROLLED, CEILING, CONFLICTING = "with control", "without control", "ceiling", "conflicting prompts"
"""The sets of a report on a ControlNet."""

EXAMPLES = 8
"""As many pairs are kept with their pictures, for the sheet."""


@dataclass(frozen=True)
class StepsPoint:
    """Fidelity at one number of denoising steps.

    Attributes:
        steps: the number.
        fidelity: mean with its interval.
        pictures: that it is the mean of, the same at every number of steps.
    """

    steps: int
    fidelity: Interval
    pictures: int


@dataclass(frozen=True)
class GeneratedReport:
    """What was measured of the pictures of a plan.

    Attributes:
        fidelity: with the control, without it, and the ceiling.
        sets: the same numbers and those of conflicting prompts, by set.
        curve: fidelity against steps, fewest first.
    """

    fidelity: FidelityReport
    sets: FolderReport
    curve: Sequence[StepsPoint]

    def lines(self) -> list[str]:
        """The result for a person."""
        lines = self.fidelity.lines()
        if CONFLICTING in self.sets.folders:
            lines.append(f"  {CONFLICTING}: {self.sets.interval(CONFLICTING)}; {self.sets.compare(CONFLICTING, CONTROLLED)}")
        lines += self.sets.set_lines(19)
        if self.curve:
            points = (f"{point.fidelity.value:.3f} at {point.steps}" for point in self.curve)
            lines.append(f"  steps            {', '.join(points)}  (over {self.curve[0].pictures} pictures)")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        sets = self.sets.to_dict()
        curve = [{"steps": one.steps, **one.fidelity.to_dict(), "pictures": one.pictures} for one in self.curve]
        added = {name: sets[name] for name in ("sets", "comparisons", "set_measures", "notes")}
        entries = self.sets.folders[CONFLICTING].entries if CONFLICTING in self.sets.folders else {}
        conflicting = [
            {"name": row.stem, "prompt": entries[row.stem].prompt, "measures": row.scores[CONFLICTING]}
            for row in (self.sets.rows if entries else ())
        ]
        return {**self.fidelity.to_dict(), **added, "steps_curve": curve, "conflicting_rows": conflicting}


def measure_pictures(
    maker: FolderMaker,
    *,
    condition: Condition | None = None,
    judge: Mapping[str, Any] | None = None,
    measurers: Sequence[Measurer] = (),
    reference: PictureFolder | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> GeneratedReport:
    """Measure what `make_pictures` has made.

    Args:
        maker: whose pictures.
        condition: that of the maps with another measure than its own.
        judge: who reads the maps back; as the ControlNet's were extracted in training, if left out.
        measurers: of whole sets.
        reference: real pictures that measurers compare with; the true ones of the pairs if left out.
        on_progress: called with (maps done, maps in all).

    Raises:
        InputError: when pictures are missing, all maps ask for nothing, or as `measure_folders`.
    """
    plan, known = maker.plan, condition or maker.condition
    parameters = conditions.reextract_parameters(known, judge, maker.network.config.extract)
    missing = [row for row in range(plan.count) if not maker.is_done(row)]
    if missing:
        count = f"{len(missing)} of {plan.count} pairs"
        hint = "run the other shards, or this command without --shard"
        raise InputError(f"the pictures of {count} are not made yet", field="shard", hint=hint)
    rows = list_pictures(maker)
    if not rows:
        raise InputError(f"all {plan.count} {known.name} maps ask for nothing: there is nothing to obey", field="data")
    stems = [maker.stems[row] for row in rows]
    maps = {stem: maker.file(MAPS, row) for stem, row in zip(stems, rows, strict=True)}

    def opened(name: str, chosen: Sequence[str] = stems) -> PictureFolder:
        return PictureFolder.open(maker.folder / name).select(chosen)

    folders = {CONTROLLED: opened(WITH), UNCONTROLLED: opened(WITHOUT), CEILING: opened(RECONSTRUCTION)}
    if plan.conflict:
        folders[CONFLICTING] = opened(CONFLICT)
    true = opened(TRUTH, stems[:: plan.pictures_per_map])  # once for each map
    report = measure_folders(
        folders, maps, known, judge=parameters, measurers=measurers, reference=reference or true,
        on_progress=on_progress,
    )  # fmt: skip
    compared = [(CONTROLLED, UNCONTROLLED), *([(CONFLICTING, CONTROLLED)] if plan.conflict else [])]
    report = replace(report, compared=compared)
    few = {maker.stems[row] for row in rows if row < CURVE_PICTURES}
    few = [row for row in report.rows if row.stem in few]
    curve: list[StepsPoint] = []
    for steps, name in plan.curve_folders().items() if few else ():
        values = [row.scores[CONTROLLED][known.metric] for row in few]
        if name != WITH:
            stems = [row.stem for row in few]
            of, own = {name: opened(name, stems)}, {stem: maps[stem] for stem in stems}
            values = measure_folders(of, own, known, judge=parameters).values(name)
        curve.append(StepsPoint(steps, bootstrap_mean(values), len(values)))
    return GeneratedReport(fidelity_report(maker, report, maps), report, curve)


def fidelity_report(maker: FolderMaker, report: FolderReport, maps: Mapping[str, Path]) -> FidelityReport:
    """The report of three sets, as `zeroconv.evaluation.evaluate` gives it of pictures in memory."""
    plan, base = maker.plan, maker.pipeline.base
    names = dict(zip(maker.stems, maker.pairs.names, strict=True))
    rows: list[Row] = []
    for one in report.rows:
        three = [one.scores[name] for name in (CONTROLLED, UNCONTROLLED, CEILING)]
        measures = {name: (three[0][name], three[1][name], three[2][name]) for name in report.measures}
        entry = report.folders[UNCONTROLLED].entries[one.stem]
        assert entry.prompt is not None and entry.seed is not None, "it was made here"
        rows.append(Row(names[one.stem], entry.prompt, entry.seed, *next(iter(measures.values())), measures))
    truth = PictureFolder.open(maker.folder / TRUTH)
    examples = [
        Example(
            truth.open_picture(stem),
            open_map(maps[stem], maker.condition, (base.size, base.size)),
            report.folders[UNCONTROLLED].open_picture(stem),
            report.folders[CONTROLLED].open_picture(stem),
        )
        for stem in [row.stem for row in report.rows[:EXAMPLES]]
    ]
    made = {"scale": plan.scale, "seed": plan.seed, "base": base.name, "control": maker.network.name}
    settings = {**plan.request(plan.num_inference_steps), **made, "judge": report.settings["judge"]}
    left_out = plan.count - len(rows)
    return FidelityReport(report.condition, report.measure, settings, rows, left_out, examples)
