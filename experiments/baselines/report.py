"""The page of the baselines, beside the paper's tables 2 and 3, and a sheet of their pictures.

    python -m experiments.baselines.report --out outputs/baselines

Means over the seeds of a training come first; intervals are over the scenes, which are resampled with what all seeds made of
them, so they say how the order of the methods depends on the scenes, and the deviation beside them how it depends on the seed.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from experiments.baselines.methods import METHODS
from experiments.paper.comparing import judge, short
from experiments.paper.rows import PAGES, write_page
from PIL import Image

from zeroconv.checkpoints.files.atomic import replacing
from zeroconv.evaluation.gap import bootstrap_share
from zeroconv.images import open_image
from zeroconv.metrics.bootstrap import bootstrap, bootstrap_mean
from zeroconv.sheets import contact_sheet

__all__ = ["Results", "main", "write_report"]

PAGE, SHEET = PAGES / "baselines.md", PAGES.parent / "images" / "baselines.webp"
SHEET_BYTES, CELL, SHOWN = 80_000, 96, 4
NOT_SHOWN = ("lora",)  # on the sheet: it sees no map
HEAD = """# Baselines: the paper's tables 2 and 3 on the tiny world

"""
TRUTH, CEILING, WITHOUT = "truth", "reconstruction", "no-control"
LIMITS = {TRUTH: "the true pictures", CEILING: "the same through the autoencoder"}
PAPER: dict[str, tuple[str, str, str, str]] = {
    TRUTH: ("0.58", "", "", ""),
    WITHOUT: ("", "6.09", ".26", "6.32"),
    "taming": ("0.21", "26.28", ".17", "5.14"),
    "ldm": ("0.31", "25.35", ".18", "5.15"),
    "piti": ("0.26", "19.74", ".20", "5.77"),
    "controlnet-lite": ("0.32", "17.92", ".26", "6.30"),
    "controlnet": ("0.35", "15.27", ".26", "6.31"),
}
"""mIoU of table 2; FID, CLIP score and aesthetic score of table 3. FID of its row without control is that of the base."""
SETS = {
    "Fréchet distance": ".1f", "KID": ".3f", "CMMD": ".3f", "CLIP score": ".1f", "named things found": ".2f",
    "in the right colour": ".2f",
}  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """What was measured, for the tables.

    Attributes:
        rows: of `table.jsonl`.
    """

    rows: Sequence[Row]

    @classmethod
    def read(cls, out: Path) -> "Results":
        """Those of a folder."""
        return cls([json.loads(line) for line in (out / "table.jsonl").read_text("utf-8").splitlines()])

    def of(self, method: str, prompt: str) -> list[Row]:
        """One row for each seed; a limit has the same rows with and without prompts."""
        return [row for row in self.rows if row["method"] == method and (method in LIMITS or row["prompt"] == prompt)]

    @property
    def methods(self) -> list[str]:
        """Those that were measured with and without prompts, in the table's order."""
        return [name for name in METHODS if self.of(name, "caption") and self.of(name, "none")]

    def iou(self, method: str, prompt: str) -> list[float]:
        """Of each scene the mean over the seeds."""
        rows = self.of(method, prompt)
        return [statistics.fmean(row["iou"][stem] for row in rows) for stem in sorted(rows[0]["iou"])]

    def deviation(self, method: str, prompt: str) -> str:
        """Of the seeds' means."""
        means = [statistics.fmean(row["iou"].values()) for row in self.of(method, prompt)]
        return f" ± {statistics.stdev(means):.2f}" if len(means) > 1 else ""

    def ceiling_share(self, method: str, prompt: str) -> str:
        """The mean IoU as a share of the true pictures', the scenes resampled together."""
        columns = [self.iou(method, prompt), self.iou(TRUTH, prompt)]
        return short(bootstrap(columns, lambda both: both[0].mean(axis=-1) / both[1].mean(axis=-1), 0))

    def gap(self, method: str, prompt: str) -> str:
        """The share of the gap between no control and the autoencoder's limit that is closed."""
        if not self.of(WITHOUT, prompt):
            return ""
        found = bootstrap_share(*(self.iou(name, prompt) for name in (method, WITHOUT, CEILING)))
        return "" if found is None else short(found)

    def mean(self, method: str, prompt: str, name: str) -> float | None:
        """A number of the whole set, over the seeds."""
        values = [row["sets"][name][0] for row in self.of(method, prompt) if name in row["sets"]]
        return statistics.fmean(values) if values else None


def write_report(out: Path, page: Path = PAGE, sheet: Path = SHEET) -> None:
    """Write the page's tables and the sheet.

    Args:
        out: of `experiments.baselines.run`.
        page: what people wrote around its marks stays.
        sheet: a WebP of at most 40 KB.
    """
    results = Results.read(out)
    image = draw_sheet(out, results)
    save_sheet(image, sheet)
    lines = [*head_of(results), "", *training_table(results), "", *table_2(results), "", *table_3(results), ""]
    lines += [f"![Held-out scenes without a prompt, a column for each method](../images/{sheet.name})", ""]
    lines += [*verdict(results), "", *notes_of(results)]
    write_page(page, HEAD, "experiments.baselines.report", lines)


def head_of(results: Results) -> list[str]:
    """What all rows share."""
    row = next(row for row in results.rows if "minutes" in row)
    seeds = sorted({each["seed"] for each in results.rows if "seed" in each})
    return [
        f"{row['scenes']} held-out scenes at 128 pixels; {row['minutes']:g} min of one CPU thread for each training on "
        f"{row['pairs']} scenes, half of the captions emptied; seeds of the training: {', '.join(map(str, seeds))}. Measured "
        f"{max(each['date'] for each in results.rows)} with torch {row['torch']} ({row['cpu']})."
    ]


def training_table(results: Results) -> list[str]:
    """What each training cost."""
    lines = [
        "| method | seeds | CPU seconds | samples seen | trained parameters |",
        "|---|---|---|---|---|",
    ]
    for name in results.methods:
        rows = results.of(name, "caption")
        seconds, samples = (statistics.fmean(row[key] for row in rows) for key in ("seconds", "samples"))
        numbers = f"{seconds:.0f} | {samples:,.0f} | {rows[0]['parameters']:,}" if samples else "0 | 0 | 0"
        lines.append(f"| {METHODS[name].title} | {len(rows)} | {numbers} |")
    return lines


def table_2(results: Results) -> list[str]:
    """The paper's table 2: mean IoU of the segmentation that is read back."""
    truth = float(PAPER[TRUTH][0])
    lines = [
        "## Table 2: mean IoU of the segmentation read back",
        "",
        "Each number with its 95 % interval over the scenes, behind ± the deviation of the seeds.",
        "",
        "| method | mIoU, no prompt | of the true pictures' | gap closed | mIoU, caption | of the true pictures' | gap closed "
        "| mIoU in the paper | of the true pictures' |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in [*LIMITS, *results.methods]:
        cells = [title(name)]
        for prompt in ("none", "caption"):
            found = short(bootstrap_mean(results.iou(name, prompt))) + results.deviation(name, prompt)
            share = "1" if name == TRUTH else results.ceiling_share(name, prompt)
            cells += [found, share, "" if name in LIMITS else results.gap(name, prompt)]
        said = PAPER.get(name, ("", "", "", ""))[0]
        lines.append(f"| {' | '.join([*cells, said, f'{float(said) / truth:.2f}' if said else ''])} |")
    return lines


def table_3(results: Results) -> list[str]:
    """The paper's table 3: distances to other true scenes, and what became of the prompts."""
    lines = [
        "## Table 3: distances to true pictures, and the prompts",
        "",
        "With captions; distances on the features of `tiny-clip`, where less is better. There is no aesthetic head for it.",
        "",
        f"| method | {' | '.join(SETS)} | FID in the paper | CLIP score | aesthetic score |",
        f"|---{'|---' * (len(SETS) + 3)}|",
    ]
    for name in [*LIMITS, *results.methods]:
        found = [(results.mean(name, "caption", one), form) for one, form in SETS.items()]
        cells = ["" if value is None else f"{value:{form}}" for value, form in found]
        lines.append(f"| {' | '.join([title(name), *cells, *PAPER.get(name, ('', '', '', ''))[1:]])} |")
    return lines


def verdict(results: Results) -> list[str]:
    """Which orders of the paper hold here, by paired differences of the scenes."""
    lines = ["## What agrees and what does not", ""]
    order = ["taming", "piti", "ldm", "controlnet-lite", "controlnet"]  # by the paper's mIoU
    pairs = [(high, low) for low, high in pairwise(order)] + [("controlnet", "controlnet-gaussian")]
    for high, low in pairs:
        if {high, low} <= set(results.methods):
            for prompt in ("none", "caption"):
                both = zip(results.iou(high, prompt), results.iou(low, prompt), strict=True)
                found = bootstrap_mean([a - b for a, b in both])
                words = "without a prompt" if prompt == "none" else "with the caption"
                lines.append(f"- {title(high)} above {title(low)}, {words}: {judge(found)}; mIoU {short(found, '+.2f')}.")
    if "controlnet" in results.methods:
        best = " and ".join(
            f"{results.ceiling_share('controlnet', prompt)} {'without a prompt' if prompt == 'none' else 'with the caption'}"
            for prompt in ("none", "caption")
        )
        lines.append(f"- ControlNet's share of the true pictures' mIoU: {best}; the paper's is 0.35 / 0.58 = 0.60.")
    return lines


def notes_of(results: Results) -> list[str]:
    """What the measures said of themselves."""
    notes = sorted({note for row in results.rows for note in row.get("notes", [])})
    return ["Of the measures:", "", *(f"- {note}" for note in notes)] if notes else []


def title(name: str) -> str:
    """How a row is called."""
    return LIMITS[name] if name in LIMITS else METHODS[name].title


def draw_sheet(out: Path, results: Results) -> Image.Image:
    """A few scenes, without prompts: the map, the true picture, and what each method made with its first seed."""
    methods = [name for name in results.methods if name not in NOT_SHOWN]
    seeds = {name: min(row["seed"] for row in results.of(name, "none")) for name in methods}
    folders = {"map": "maps/segmentation", "true picture": TRUTH} | {
        title(n).replace("β =", "beta"): f"{n}-{seeds[n]}-none"
        for n in methods  # the font has no Greek letters
    }
    stems = sorted(results.of(TRUTH, "none")[0]["iou"])[:SHOWN]
    rows = [[open_image(out / "pictures" / folder / f"{stem}.png") for folder in folders.values()] for stem in stems]
    return contact_sheet(rows, list(folders), cell=CELL)


def save_sheet(image: Image.Image, path: Path) -> None:
    """Write a WebP in the best quality that is small enough."""
    for quality in range(80, 10, -5):
        with replacing(path) as part:
            image.save(part, format="WEBP", quality=quality, method=6)
        if path.stat().st_size <= SHEET_BYTES:
            return


def main() -> None:
    """Write the page of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/baselines"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--sheet", type=Path, default=SHEET)
    args = parser.parse_args()
    write_report(args.out, args.page, args.sheet)


if __name__ == "__main__":
    main()
