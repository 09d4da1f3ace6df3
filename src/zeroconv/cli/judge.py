"""`zeroconv evaluate FOLDER`: pictures that anything made, judged by their maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from zeroconv.cli.console import Progress
from zeroconv.cli.controls import parse_mode, parse_size
from zeroconv.cli.folders import output_folder
from zeroconv.cli.protocols import choose_judging, choose_reference, open_sets
from zeroconv.cli.reports import print_report, write_report

if TYPE_CHECKING:
    from zeroconv.evaluation.protocols import FollowedProtocol

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
    device: str | None,
    followed: "FollowedProtocol | None",
    as_json: bool,
) -> None:
    """Judge a folder, and write what was found; arguments as `zeroconv.evaluation.judge_folder`."""
    pixels, mode = parse_size(size) if size else None, parse_mode(resize)
    if out.resolve() == folder.resolve():
        raise typer.BadParameter("--out is the folder of the pictures; expected another one")
    with output_folder(out):
        from zeroconv.evaluation import folders, page

        known, sizes = condition, folders.Sizes(pixels, mode)
        if followed is None:
            measurers = folders.open_measurers(features, aesthetic, device=device or "cpu")
        else:
            known, sizes, judge = choose_judging(followed, folder, maps, condition, sizes, judge)
            measurers = open_sets(followed, features, aesthetic, judge, device, sizes)
            reference = choose_reference(followed, reference, out)
        with Progress("picture") as progress:
            report = folders.judge_folder(
                folder, maps=maps, condition=known, truth=truth, against=against, prompts=prompts, judge=judge or None,
                sizes=sizes, count=count, measurers=measurers, reference=reference, on_progress=progress,
            )  # fmt: skip
        values, lines = {**report.to_dict(), "folder": str(folder)}, report.lines()
        if followed is not None:
            first = folders.PictureFolder.open(folder)
            followed.check_report(report, first.size_of(first.stems[0]))
            values["protocol"], lines = followed.to_dict(), [*lines, *followed.lines()]
        files = write_report(out, values, page.render_page(page.page_of_folder(report, followed)))
    print_report(values, lines, files, as_json)
