"""`zeroconv evaluate --control`: pictures made with a ControlNet, without it, and the best this base could do."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zeroconv.cli.bases import open_base, parse_runtime
from zeroconv.cli.console import Progress
from zeroconv.cli.folders import output_folder
from zeroconv.cli.protocols import choose_reference, open_sets
from zeroconv.cli.reports import print_report, write_report
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell

if TYPE_CHECKING:
    from zeroconv.control import ControlNet
    from zeroconv.evaluation.protocols import FollowedProtocol
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
    features: Sequence[str],
    aesthetic: str | None,
    reference: Path | None,
    shard: str | None,
    engine: str,
    fresh: bool,
    followed: "FollowedProtocol | None",
    as_json: bool,
    **request: Any,
) -> None:
    """Make pictures with a ControlNet and without it, measure them, and write what was found.

    Args:
        control: the ControlNet.
        out: folder for the report and the pictures.
        data: held-out pairs.
        base: which base is opened, asked for once `out` is known to be writable.
        condition: it follows, if it does not say so itself.
        count: the first so many pairs alone.
        judge: who reads maps back.
        runtime: how networks are run.
        features: of pictures, on which whole sets are measured.
        aesthetic: a linear head on the CLIP among them.
        reference: real pictures that sets are compared with, other than the pairs' own.
        shard: which part of the pictures is made, without measuring them.
        engine: "local" or "ray".
        fresh: remove the pictures that are there.
        followed: the protocol, if one was named.
        as_json: whether one JSON object is printed.
        **request: of `zeroconv.evaluation.folders.Plan`.
    """
    started, how = time.monotonic(), parse_runtime(runtime)
    with output_folder(out):
        from zeroconv import conditions, evaluation
        from zeroconv.control import ControlNet
        from zeroconv.data import FolderPairs, open_pairs
        from zeroconv.data.map_messages import look_at_maps
        from zeroconv.diffusion import canonical_sampler
        from zeroconv.evaluation import page
        from zeroconv.evaluation.folders import (
            FolderMaker,
            MakingJob,
            PictureFolder,
            Plan,
            Shard,
            make_pictures,
            measure_pictures,
            open_measurers,
            remove_pictures,
        )
        from zeroconv.generation import ControlPipeline
        from zeroconv.images import write_png
        from zeroconv.stable_diffusion.eight_bits import quantize

        part, asked = Shard.parse(shard) if shard else Shard(), base()
        pipeline = ControlPipeline(open_base(asked))
        if how is not None:
            pipeline.optimize(runtime=how)
        network = ControlNet.from_pretrained(control, unet=pipeline.base.unet)
        if asked.weights is not None:
            quantize(network)
        pipeline.adopt(network)
        name = condition or network.config.condition
        if name is None:
            raise InputError(f"{control} does not say which condition it follows: name it with --condition", field="condition")
        known = conditions.get(name)
        scored = known
        if followed is None:
            measurers = open_measurers(features, aesthetic, data.startswith("world:"), asked.device or "cpu")
        else:
            judge = followed.choose_judge(known.name, judge)
            scored, reference = followed.rule.judged, choose_reference(followed, reference, out)
            measurers = open_sets(followed, features, aesthetic, judge, asked.device)
        compared = PictureFolder.open(reference) if reference else None
        conditions.reextract_parameters(scored, judge, network.config.extract)
        warn_of_judge(name, network, judge, data)
        pairs = open_pairs(data, name)
        for message in look_at_maps(pairs) if isinstance(pairs, FolderPairs) else ():
            tell(message)
        request["sampler"] = canonical_sampler(request["sampler"])
        pictures_of_all = min(count or len(pairs), len(pairs)) * request["pictures_per_map"]
        plan = Plan(known.name, pictures_of_all, **request)
        pictures = out / "pictures"
        if fresh:
            remove_pictures(pictures)
        maker = FolderMaker(plan, pictures, pipeline, network, pairs)
        job = MakingJob(plan, pictures.resolve(), data, control, asked, how) if engine == "ray" else None
        with Progress("pair") as progress:
            made = make_pictures(maker, data, shard=part, job=job, on_progress=progress)
        if shard is None:
            with Progress("measured pair") as progress:
                report = measure_pictures(
                    maker, condition=scored, judge=judge, measurers=measurers, reference=compared, on_progress=progress
                )
            values = {**report.to_dict(), "data": data, "seconds": round(time.monotonic() - started, 1)}
            lines = report.lines()
            if followed is not None:
                followed.check_report(report.sets, (pipeline.base.size, pipeline.base.size), plan.count)
                values["protocol"], lines = followed.to_dict(), [*lines, *followed.lines()]
            sheet = write_png(evaluation.fidelity_sheet(report.fidelity), out / "sheet.png")
            truth = PictureFolder.open(pictures / "truth")
            files = [*write_report(out, values, page.render_page(page.page_of_pictures(report, truth, followed))), sheet]
            print_report(values, lines, files, as_json)
            return
    done = sum(map(maker.is_done, range(plan.count)))
    values = {"shard": [part.number, part.of], "made": made, "pairs": plan.count, "done": done, "folder": str(pictures)}
    following = "the same without --shard measures them" if done == plan.count else "run the other shards too"
    print_report(values, [f"{made} pictures made, {done} of {plan.count} pairs are done: {following}"], [pictures], as_json)


def warn_of_judge(condition: str, network: "ControlNet", judge: Mapping[str, Any] | None, data: str) -> None:
    """Say so when the embedded annotator judges pictures that need not be of the tiny world."""
    from zeroconv.conditions import get

    parameters = network.config.extract if judge is None else judge
    warning = get(condition).domain_warning(parameters, "--judge method=…")
    if warning and not data.startswith("world:"):
        tell(Message(warning, "judge.domain"))
