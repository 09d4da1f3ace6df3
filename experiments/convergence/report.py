"""The page of the convergence runs: samples until a control has taken hold, and the curves.

    python -m experiments.convergence.report

Reads docs/results/convergence.jsonl, which `experiments.convergence.run` fills, and writes docs/results/convergence.md and
docs/images/convergence.svg.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from experiments.convergence.recipes import CONDITIONS, RECIPES

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "docs" / "results" / "convergence.jsonl"
PAGE, PLOT = ROOT / "docs" / "results" / "convergence.md", ROOT / "docs" / "images" / "convergence.svg"
TAKEN_HOLD = 0.3  # share of the gap
MARKS = (800, 1600)  # samples at which shares are compared
HEAD = """# How many samples until a control takes hold

Recipes against each other on the tiny base, by `python -m experiments.convergence.run` and `python -m
experiments.convergence.report`: samples until 30 % of the gap between no control and the autoencoder's own limit are closed,
interpolated between probes of 32 pictures that stand 200 samples apart; mean and standard deviation over the seeds.

![Share of the gap against samples](../images/convergence.svg)

"""
BEGIN, END = "<!-- written by experiments.convergence.report -->", "<!-- end -->"
WIDTH, HEIGHT, MARGIN = 420, 260, 44
COLOURS = (
    "#888888",
    "#d1495b",
    "#2e86ab",
    "#66a182",
    "#edae49",
    "#7d5ba6",
    "#00798c",
    "#a23b72",
    "#5f5f9e",
    "#222222",
    "#3d5a80",
)

Curve = list[tuple[float, float]]


def shares(row: dict[str, Any]) -> Curve:
    """(samples, share of the gap) of a run."""
    low, high = row["uncontrolled"], row["ceiling"]
    return [(samples, (fidelity - low) / (high - low)) for samples, fidelity in row["curve"]]


def first_passing(curve: Curve, level: float) -> float | None:
    """Samples at which the straight line between two probes passes a level for the first time; 0 if it begins above."""
    if curve[0][1] >= level:
        return curve[0][0]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if y0 < level <= y1:
            return x0 + (x1 - x0) * (level - y0) / (y1 - y0)
    return None


def value_at(curve: Curve, samples: float) -> float | None:
    """The share at a number of samples; None beyond the curve's end."""
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 <= samples <= x1:
            return y0 + (y1 - y0) * (samples - x0) / (x1 - x0)
    return None


def with_spread(values: Sequence[float | None], form: str, missing: str) -> str:
    """Mean and standard deviation over the seeds; says how many are missing, or the word for it if all are."""
    known = [value for value in values if value is not None]
    if not known:
        return missing
    spread = f" ± {stdev(known):{form}}" if len(known) > 1 else ""
    some = f" ({len(known)} of {len(values)} runs)" if len(known) < len(values) else ""
    return f"{fmean(known):{form}}{spread}{some}"


def table(groups: dict[tuple[str, str], list[dict[str, Any]]], condition: str) -> list[str]:
    """The table of a condition."""
    heads = " | ".join(f"share at {mark:,}" for mark in MARKS)
    lines = [f"| recipe | seeds | samples to 30 % | of plain's | {heads} |", "|---|---|---|---|" + "---|" * len(MARKS)]
    plain = [first_passing(shares(row), TAKEN_HOLD) for row in groups.get((condition, "plain"), [])]
    base = fmean(value for value in plain if value is not None) if any(plain) else None
    for recipe in RECIPES:
        rows = groups.get((condition, recipe), [])
        if not rows:
            continue
        reached = [first_passing(shares(row), TAKEN_HOLD) for row in rows]
        known = [value for value in reached if value is not None]
        ratio = f"{fmean(known) / base:.2f}" if base and len(known) == len(rows) else "–"
        at = " | ".join(with_spread([value_at(shares(row), mark) for row in rows], ".2f", "ended before") for mark in MARKS)
        lines.append(f"| `{recipe}` | {len(rows)} | {with_spread(reached, ',.0f', 'not reached')} | {ratio} | {at} |")
    return lines


def plot(groups: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    """All curves, a panel for each condition, as SVG."""
    longest = max(samples for rows in groups.values() for row in rows for samples, _ in row["curve"])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(CONDITIONS)} {HEIGHT + 40}"'
        ' font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for column, condition in enumerate(CONDITIONS):
        left, inner, tall = column * WIDTH + MARGIN, WIDTH - MARGIN - 24, HEIGHT - 2 * MARGIN

        def place(samples: float, share: float, left: int = left, inner: int = inner, tall: int = tall) -> str:
            return (
                f"{left + inner * samples / longest:.1f},{MARGIN + tall * (1 - (min(max(share, -0.1), 0.5) + 0.1) / 0.6):.1f}"
            )

        parts.append(f'<text x="{left}" y="{MARGIN - 14}" font-size="13">{condition}: share of the gap against samples</text>')
        for level in (0, 0.1, 0.2, 0.3, 0.4, 0.5):
            x0, y0 = place(0, level).split(",")
            dashes = ' stroke-dasharray="4 3" stroke="#444"' if level == TAKEN_HOLD else ' stroke="#ddd"'
            parts.append(f'<line x1="{x0}" y1="{y0}" x2="{left + inner}" y2="{y0}"{dashes}/>')
            parts.append(f'<text x="{left - 6}" y="{float(y0) + 4:.1f}" text-anchor="end">{level:.0%}</text>')
        for samples in range(0, int(longest) + 1, 1000):
            x0 = place(samples, 0).split(",")[0]
            parts.append(f'<text x="{x0}" y="{HEIGHT - MARGIN + 16}" text-anchor="middle">{samples:,}</text>')
        for (name, recipe), rows in groups.items():
            if name == condition:
                colour = COLOURS[list(RECIPES).index(recipe)]
                lines = (" ".join(place(*point) for point in shares(row)) for row in rows)
                parts += [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>' for line in lines]
    seen = [recipe for recipe in RECIPES if any(key[1] == recipe for key in groups)]
    columns = -(-len(seen) // 2)
    for i, recipe in enumerate(seen):
        x = MARGIN + i % columns * (WIDTH * len(CONDITIONS) - MARGIN) / max(columns, 5)
        y = HEIGHT + 12 + 16 * (i // columns)
        colour = COLOURS[list(RECIPES).index(recipe)]
        parts.append(f'<rect x="{x:.0f}" y="{y - 6}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 18:.0f}" y="{y}">{recipe}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Write the table into the page and the plot beside it."""
    rows = [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["condition"], row["recipe"]].append(row)
    lines = [BEGIN, ""]
    for condition in CONDITIONS:
        lines += [f"**{condition}**", "", *table(groups, condition), ""]
    before, _, rest = (PAGE.read_text("utf-8") if PAGE.exists() else HEAD).partition(BEGIN)
    PAGE.write_text(before + "\n".join([*lines, END]) + rest.partition(END)[2], "utf-8")
    PLOT.write_text(plot(groups), "utf-8")


if __name__ == "__main__":
    main()
