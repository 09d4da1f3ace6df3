"""`zeroconv evaluate FOLDER`: pictures that anything made, judged by their maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from zeroconv.cli.console import Progress
from zeroconv.cli.controls import parse_mode, parse_size
from zeroconv.cli.folders import output_folder
from zeroconv.cli.reports import print_report, write_report

__all__ = ["judge_pictures"]


def judge_pictures(
    folder: Path,
    out: Path,
    *,
    maps: Path | None,
    condition: str | None,
    truth: Path | None,
    against: Path | None,
    prompts: Path | None,
    judge: Mapping[str, Any],
    size: str | None,
    resize: str | None,
    count: int | None,
    features: Sequence[str],
    aesthetic: str | None,
    reference: Path | None,
    as_json: bool,
) -> None:
    """Judge a folder, and write what was found; arguments as `zeroconv.evaluation.judge_folder`."""
    pixels, mode = parse_size(size) if size else None, parse_mode(resize)
    if out.resolve() == folder.resolve():
        raise typer.BadParameter("--out is the folder of the pictures; expected another one")
    with output_folder(out):
        from zeroconv.evaluation import folders, page

        measurers = folders.open_measurers(features, aesthetic)
        with Progress("picture") as progress:
            report = folders.judge_folder(
                folder, maps=maps, condition=condition, truth=truth, against=against, prompts=prompts, judge=judge or None,
                sizes=folders.Sizes(pixels, mode), count=count, measurers=measurers, reference=reference, on_progress=progress,
            )  # fmt: skip
        values = {**report.to_dict(), "folder": str(folder)}
        files = write_report(out, values, page.render_page(page.page_of_folder(report)))
    print_report(values, report.lines(), files, as_json)
