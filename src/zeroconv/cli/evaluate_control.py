"""`zeroconv evaluate --control`: pictures made with a ControlNet, without it, and the best this base could do."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroconv.cli.bases import open_base, parse_runtime
from zeroconv.cli.console import Progress
from zeroconv.cli.folders import output_folder
from zeroconv.cli.reports import print_report, write_report
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from zeroconv.control import ControlNet
    from zeroconv.generation import BaseRequest

__all__ = ["evaluate_control"]


def evaluate_control(
    control: str,
    out: Path,
    *,
    data: str,
    base: "Callable[[], BaseRequest]",
    condition: str | None,
    count: int | None,
    judge: Mapping[str, Any] | None,
    runtime: str | None,
    as_json: bool,
    **request: Any,
) -> None:
    """Measure a ControlNet, and write what was found.

    Args:
        control: the ControlNet.
        out: folder for the report.
        data: held-out pairs.
        base: which base is opened, asked for once `out` is known to be writable.
        condition: it follows, if it does not say so itself.
        count: the first so many pairs alone.
        judge: who reads maps back.
        runtime: how networks are run.
        as_json: whether one JSON object is printed.
        **request: as `zeroconv.evaluation.evaluate`.
    """
    started, how = time.monotonic(), parse_runtime(runtime)
    with output_folder(out):
        from zeroconv import evaluation
        from zeroconv.control import ControlNet
        from zeroconv.data import FolderPairs, Subset, open_pairs
        from zeroconv.data.map_messages import look_at_maps
        from zeroconv.generation import ControlPipeline
        from zeroconv.images import write_png

        pipeline = ControlPipeline(open_base(base()))
        if how is not None:
            pipeline.optimize(runtime=how)
        network = ControlNet.from_pretrained(control, unet=pipeline.base.unet)
        name = condition or network.config.condition
        if name is None:
            raise InputError(f"{control} does not say which condition it follows: name it with --condition", field="condition")
        warn_of_judge(name, network, judge, data)
        pairs = open_pairs(data, name)
        for message in look_at_maps(pairs) if isinstance(pairs, FolderPairs) else ():
            tell(message)
        chosen = Subset(pairs, range(min(count or len(pairs), len(pairs))))
        with Progress("pair") as progress:
            report = evaluation.evaluate(pipeline, network, name, chosen, judge=judge, on_progress=progress, **request)
        values = {**report.to_dict(), "data": data, "seconds": round(time.monotonic() - started, 1)}
        files = write_report(out, values)
        files.append(write_png(evaluation.fidelity_sheet(report), out / "sheet.png"))
    print_report(values, report.lines(), files, as_json)


def warn_of_judge(condition: str, network: "ControlNet", judge: Mapping[str, Any] | None, data: str) -> None:
    """Say so when the embedded annotator judges pictures that need not be of the tiny world."""
    from zeroconv.conditions import get

    parameters = network.config.extract if judge is None else judge
    warning = get(condition).domain_warning(parameters, "--judge method=…")
    if warning and not data.startswith("world:"):
        tell(Message(warning, "judge.domain"))
