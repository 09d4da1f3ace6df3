"""How the ControlNets of the package are obeyed: the tables of docs/results/tiny.md and README.md, in one command.

    python -m experiments.tiny.controls
    python -m experiments.tiny.controls --scenes 24 --steps 8 --controls canny depth

Held-out scenes with their captions, guidance 4, scene i with the seed i, as `zeroconv evaluate --data world:200@900000000`
makes them. The pictures without a control are the same for all ControlNets and are drawn once, where as many evaluations would
draw them as often. What is done is a row of docs/results/tiny.jsonl that names the weights by their digest, and is done again
only when those have changed. One core of an Intel Xeon takes about half an hour.
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.paper.rows import PAGES, Rows, begin, write_page
from experiments.paper.scenes import draw, load_scenes, open_tiny, read_maps, true_pictures
from PIL import Image

from zeroconv import ControlNet, ControlPipeline, conditions
from zeroconv.checkpoints.hub.resolve import resolve
from zeroconv.evaluation import bootstrap_mean, bootstrap_share
from zeroconv.metrics.bootstrap import Interval

CONTROLS = ("canny", "depth", "segmentation", "pose", "scribble", "soft-edge", "normal", "lineart", "lines")
LENT = {"lines": "canny"}
"""Conditions that the package has no network of their own for: which one follows their maps."""
WEIGHTINGS = BOTH, ALONE = "uniform", "condition-only"
GUIDANCE = 4.0
TRUTH, WITHOUT = "reconstruction", "no control"
NAMES = ("control", "setting", "scenes", "steps", "weights")
SHORTLY = "in short"
SHORT = {"depth": "depth δ1", "normal": "normals met", "pose": "PCK@0.05"}
"""Measures whose whole name is too long for a table."""
SCRIPT = "experiments.tiny.controls"
PAGE, README = PAGES / "tiny.md", PAGES.parents[1] / "README.md"
HEAD = """# The tiny base and its ControlNets

"""


def digest(*folders: Path) -> str:
    """Eight hexadecimal digits that change with any weight of these folders."""
    found = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.safetensors")):
            found.update(path.relative_to(folder).as_posix().encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:8]


def fill(args: argparse.Namespace, rows: Rows, pipeline: ControlPipeline) -> None:
    """Draw and measure what is missing."""
    how: dict[str, Any] = {"guidance_scale": GUIDANCE, "num_inference_steps": args.steps}
    without = list[Image.Image]()
    for name in args.controls:
        shared = shared_names(args, name)
        missing = [setting for setting in (TRUTH, WITHOUT, *WEIGHTINGS) if rows.find(**shared, setting=setting) is None]
        if not missing:
            continue
        scenes = load_scenes(args.scenes, name)
        maps = read_maps(pipeline, scenes, name, network=lent_network(name, pipeline))
        prompts = [scenes[i].caption for i in range(len(scenes))]
        for setting in missing:
            if setting == TRUTH:
                images = true_pictures(pipeline, scenes)
            elif setting == WITHOUT:
                without = images = without or draw(pipeline, prompts, [], args.out / WITHOUT, **how)[0]
            else:
                folder = args.out / f"tiny-{name}-{setting}"
                images, _ = draw(pipeline, prompts, [maps.control()], folder, weighting=setting, **how)
            rows.add({**shared, "setting": setting, "fidelity": maps.fidelity(images)})
            print(f"tiny-{name}, {setting}: measured", flush=True)


def lent_network(condition: str, pipeline: ControlPipeline) -> ControlNet | None:
    """Another condition's network, judged by this condition's measure; None where the condition has its own."""
    if condition not in LENT:
        return None
    network = ControlNet.from_pretrained(f"tiny-{LENT[condition]}", unet=pipeline.base.unet)
    network.config = replace(network.config, condition=condition, extract={})
    return network


def shared_names(args: argparse.Namespace, condition: str) -> dict[str, Any]:
    """What names all rows of a ControlNet."""
    weights = digest(resolve("tiny", "base"), resolve(f"tiny-{LENT.get(condition, condition)}", "ControlNet"))
    return {"control": condition, "scenes": args.scenes, "steps": args.steps, "weights": weights}


def number(interval: Interval) -> str:
    """A measure in [0, 1], such as ".700 [.688, .714]"."""
    value, low, high = (f"{x:.3f}".removeprefix("0") for x in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def percent(share: Interval | None) -> str:
    """A share of the gap, such as "73 % [71, 75]"; nothing where there is no gap."""
    return "" if share is None else f"{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def tables(args: argparse.Namespace, rows: Rows) -> dict[str, list[str]]:
    """Both weightings in short, and a table of each: the map on both sides of guidance, and on the conditional one alone."""
    lines = {
        weighting: ["| ControlNet | measure | pictures | with | without | best possible | gap closed |", "|---" * 7 + "|"]
        for weighting in WEIGHTINGS
    }
    lines[SHORTLY] = [
        "| ControlNet | measure | without | with | best possible | gap closed | with `condition-only` |",
        "|---" * 7 + "|",
    ]
    for name in args.controls:
        shared = shared_names(args, name)
        found = {setting: rows.find(**shared, setting=setting) for setting in (TRUTH, WITHOUT, *WEIGHTINGS)}
        columns = {setting: row["fidelity"] for setting, row in found.items() if row is not None}
        kept = [i for i in range(args.scenes) if all(column[i] is not None for column in columns.values())]
        values = {setting: [column[i] for i in kept] for setting, column in columns.items()}
        names = [f"`tiny-{LENT[name]}`, {name}" if name in LENT else f"`tiny-{name}`"]
        names.append(SHORT.get(name, conditions.get(name).metric))
        shares = [percent(bootstrap_share(values[weighting], values[WITHOUT], values[TRUTH])) for weighting in WEIGHTINGS]
        for weighting, share in zip(WEIGHTINGS, shares, strict=True):
            means = [number(bootstrap_mean(values[setting])) for setting in (weighting, WITHOUT, TRUTH)]
            lines[weighting].append(f"| {' | '.join([*names, str(len(kept)), *means, share])} |")
        bare = [number(bootstrap_mean(values[setting])).partition(" ")[0] for setting in (WITHOUT, BOTH, TRUTH)]
        lines[SHORTLY].append(f"| {' | '.join([*names, *bare, *shares])} |")
    return lines


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this table has besides."""
    parser.set_defaults(scenes=200, steps=12, out=Path("outputs") / "tiny-controls")
    parser.add_argument("--controls", nargs="+", choices=CONTROLS, default=list(CONTROLS), metavar="CONDITION")


def main(words: Sequence[str] | None = None) -> None:
    """Draw and measure what is missing, then write the tables."""
    args, rows = begin(__doc__, PAGE, NAMES, add_options, words)
    fill(args, rows, open_tiny())
    found, made = tables(args, rows), max(str(row["date"]) for row in rows.rows.values())
    how = f"{args.scenes} held-out scenes, {args.steps} steps, guidance {GUIDANCE:g}; measured by {made}."
    first = ["", "With the map on both sides of guidance (`--weighting uniform`, the default of the library):", ""]
    second = ["", "With the map on the conditional side of guidance alone (`--weighting condition-only`):", ""]
    write_page(args.page, HEAD, SCRIPT, [how, "", *found[SHORTLY], *first, *found[BOTH], *second, *found[ALONE]])
    if args.page == PAGE:
        write_page(README, "", SCRIPT, found[SHORTLY])


if __name__ == "__main__":
    main()
