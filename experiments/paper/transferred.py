"""The tables of figure 12: whether a base took a style, and how much of their fidelity ControlNets keep on it."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from experiments.paper.comparing import Marks, compare_shares, difference, judge, ratio, short
from experiments.paper.rows import Row, Rows

from zeroconv import conditions
from zeroconv.evaluation import bootstrap_mean, bootstrap_share
from zeroconv.metrics.bootstrap import Interval

__all__ = ["NO_CONTROL", "ORIGINAL", "TRUTH", "Results"]

ORIGINAL, TRUTH, NO_CONTROL = "original", "true pictures", "no control"
EXPECTED = 0.9
"""Of the share of the gap on the original, what a transferred control should keep."""
READABLE = 0.5
"""Of the fidelity of the true pictures, what must be left in a style for its measure to be trusted."""
NARROW = 0.1
"""A gap below which shares of it say nothing."""
TAKEN = 0.5
"""Of the way from the original's colours to a style's, what a base must have gone to have taken it."""


@dataclass(frozen=True)
class Results:
    """What was measured, for the tables.

    Attributes:
        rows: of the figure.
        scenes: how many.
        steps: of denoising.
        minutes: of each fine-tuning.
    """

    rows: Rows
    scenes: int
    steps: int
    minutes: float

    def row(self, base: str, shown: str, prompt: str | None = None) -> Row:
        """What was measured of a base's pictures."""
        minutes = None if base == ORIGINAL or shown == TRUTH else self.minutes
        named: Row = {"part": "pictures", "base": base, "shown": shown, "scenes": self.scenes, "steps": self.steps}
        found = self.rows.find(**named, prompt=None if shown == TRUTH else prompt, minutes=minutes)
        assert found is not None, f"{base}, {shown} is drawn before the page is written"
        return found

    def marks(self, base: str, condition: str, prompt: str) -> Marks:
        """Fidelity to a condition's maps on a base, of the scenes whose map asks for something."""
        kept = [i for i, value in enumerate(self.row(ORIGINAL, TRUTH)[condition]) if value is not None]
        found = ([self.row(base, shown, prompt)[condition][i] for i in kept] for shown in (condition, NO_CONTROL, TRUTH))
        control, without, ceiling = found
        return control, without, ceiling

    def gap_kept(self, style: str, condition: str, prompt: str) -> Interval | None:
        """The share of its gap that a control closes on a community base over that on the original; None without a gap."""
        marks = [self.marks(base, condition, prompt) for base in (style, ORIGINAL)]
        return compare_shares(*marks, operator.truediv)

    def ceiling_kept(self, style: str, condition: str) -> Interval:
        """The fidelity of the true pictures in a style over that of the true pictures."""
        both = [self.row(base, TRUTH)[condition] for base in (style, ORIGINAL)]
        kept = [i for i, value in enumerate(both[1]) if value is not None]
        return ratio([both[0][i] for i in kept], [both[1][i] for i in kept])

    def styles(self, styles: Iterable[str]) -> list[str]:
        """Whether the bases took their styles, by pictures without control from the captions."""
        lines = [
            "Did the bases take their styles? Pictures without control from the captions against the true ones in the style, "
            "through the autoencoder: how many levels of 255 the histograms of their colours are apart, which part of the "
            "original's distance is gone, and sharpness and colour as multiples of theirs.",
            "",
            "| style | steps | samples | minutes of the processor | colours apart, original | community base | of the way gone "
            "| sharpness, original | community base | colour, original | community base |",
            f"|{'---|' * 11}",
        ]
        for style in styles:
            spent = self.rows.find(part="training", base=style, minutes=self.minutes)
            assert spent is not None, "it is written before anything is drawn"
            before, after = (self.row(base, NO_CONTROL, "caption") for base in (ORIGINAL, style))
            truth, key = self.row(style, TRUTH), f"colours to {style}"
            share = self.style_taken(style)
            cells = [style, str(spent["optimizer_steps"]), f"{spent['samples']:,}", f"{spent['cpu_minutes']:.1f}"]
            cells += [short(bootstrap_mean(row[key]), ".1f") for row in (before, after)]
            cells.append("none" if share is None else short(share))
            cells += [short(ratio(row[name], truth[name])) for name in ("sharpness", "colour") for row in (before, after)]
            lines.append(f"| {' | '.join(cells)} |")
        return lines

    def style_taken(self, style: str) -> Interval | None:
        """The share of the way of the colours from the original's pictures (0) to the true ones of a style (1)."""
        rows = self.row(style, NO_CONTROL, "caption"), self.row(ORIGINAL, NO_CONTROL, "caption"), self.row(style, TRUTH)
        after, before, truth = ([-value for value in row[f"colours to {style}"]] for row in rows)
        return bootstrap_share(after, before, truth)

    def table(self, prompt: str, names: Iterable[str], styles: Iterable[str]) -> list[str]:
        """Fidelity of each control on each base."""
        heads = "control | base | true pictures | no control | control | gap closed | gap kept | fidelity kept"
        lines = [f"| {heads} |", f"|{'---|' * 8}"]
        for condition in names:
            original = self.marks(ORIGINAL, condition, prompt)
            for base in (ORIGINAL, *styles):
                control, without, ceiling = marks = self.marks(base, condition, prompt)
                share = bootstrap_share(*marks)
                cells = [f"{condition} ({conditions.get(condition).metric})", base]
                cells += [short(bootstrap_mean(values), ".3f") for values in (ceiling, without, control)]
                cells.append("no gap" if share is None else short(share))
                kept = None if base == ORIGINAL else self.gap_kept(base, condition, prompt)
                cells.append("" if kept is None else short(kept))
                cells.append("" if base == ORIGINAL else short(ratio(control, original[0])))
                lines.append(f"| {' | '.join(cells)} |")
        return lines

    def verdict(self, prompts: Mapping[str, str], names: Iterable[str], styles: Iterable[str]) -> list[str]:
        """What the paper says of the figure, and what these numbers say of it."""
        lines, found = ["**What agrees with the paper, and what does not**", ""], list[str]()
        for style in styles:
            taken = self.style_taken(style)
            way = "there is no way to go" if taken is None else f"{short(taken)} of the way from the original's colours"
            lines.append(f"- The base took the style {style}: {judge_or_not(taken, TAKEN)}; {way}.")
            for condition in names:
                for prompt, words in prompts.items():
                    told, enough = self.judge_transfer(style, condition, prompt)
                    lines.append(f"- {condition} on {style}, {words}: {told}")
                    found.append(enough)
        counts = {answer: found.count(answer) for answer in ("yes", "no", "not decided", "")}
        lines += [
            "",
            f"Does transfer keep at least {EXPECTED:.0%} of the share of the gap? Of {len(found)} cases: yes {counts['yes']}, "
            f"no {counts['no']}, not decided {counts['not decided']}, cannot be judged {counts['']}.",
        ]
        return lines

    def judge_transfer(self, style: str, condition: str, prompt: str) -> tuple[str, str]:
        """A sentence on a control, a style and a prompt; and whether enough is kept, nothing where it cannot be judged."""
        taken, kept = self.style_taken(style), self.gap_kept(style, condition, prompt)
        used, ceiling = bootstrap_share(*self.marks(style, condition, prompt)), self.ceiling_kept(style, condition)
        widths = {base: self.gap_width(base, condition, prompt) for base in (ORIGINAL, style)}
        if judge_or_not(taken, TAKEN) != "yes":
            return "cannot be judged, because the base did not surely take the style.", ""
        if ceiling.value < READABLE:
            told = f"the true pictures in this style have only {short(ceiling)} of the original's fidelity"
            return f"cannot be judged, because {told}: what reads it back was made for the tiny world as it is.", ""
        if kept is None or used is None or min(widths.values()) < NARROW:
            narrow = min(widths, key=lambda base: widths[base])
            return f"cannot be judged, because the gap is only {widths[narrow]:.2f} wide on the base {narrow}.", ""
        works = f"the control works without training: {judge(used)}, closing {short(used)} of the gap"
        enough = judge(kept, EXPECTED, "yes", "no")
        return f"{works}; at least {EXPECTED:.0%} of the share on the original: {enough}, {short(kept)}.", enough

    def gap_width(self, base: str, condition: str, prompt: str) -> float:
        """Mean fidelity of the true pictures less that without control."""
        _, without, ceiling = self.marks(base, condition, prompt)
        return difference(ceiling, without).value


def judge_or_not(found: Interval | None, expected: float) -> str:
    """Whether a number is above another one; no where there is none."""
    return "no" if found is None else judge(found, expected, "yes", "no")
