"""Figure 8: zero convolutions, Gaussian ones in their place, and ControlNet-lite, each under four prompt settings.

    python -m experiments.paper.figure_8
    python -m experiments.paper.figure_8 --minutes 30 --seeds 0 1 2

Every network is trained on the same scenes for `--minutes` of the processor: a step of each kind is timed first, and the
minutes are turned into steps. Then it draws the same held-out scenes from the same seeds: without a prompt, with one that names
nothing, with the caption of the next scene, and with the scene's own. What is done is a row of docs/results/figure-8.jsonl and
not done again, and a training that was stopped goes on; then the tables of docs/results/figure-8.md and the sheet in
docs/images are written anew.

Pictures are judged twice: by their edges, which is what the networks are given, and by the segmentation that is read back from
them. Edges alone mislead: noise has some wherever the map asks for them, so that a network which only adds noise passes there.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from experiments.paper.comparing import difference, judge, short
from experiments.paper.rows import PAGES, Rows, begin, write_figure, write_page
from experiments.paper.scenes import SHOWN, Maps, draw, load_scenes, open_tiny, read_maps, true_pictures
from experiments.paper.training import BATCH, Trained, budget_row, prepare_scenes, record_training
from PIL import Image

from zeroconv import ControlPipeline, conditions
from zeroconv.evaluation import bootstrap_mean, bootstrap_share
from zeroconv.images import write_png

CONDITION, SCENES = "canny", 1000
JUDGES = {CONDITION: "fidelity", "segmentation": "segmentation"}
"""Conditions in whose measures the pictures are judged, and what the scores are called in a row."""
NETWORKS: dict[str, dict[str, str]] = {
    "zero": {},
    "Gaussian": {"model.connection": "gaussian"},
    "lite": {"model.variant": "lite"},
}
"""What differs from a ControlNet with zero convolutions."""
INSUFFICIENT = (
    "on a sunny day"  # the paper's words, "a high-quality, detailed, and professional image", are none of this base's
)
PROMPTS = ("none", "insufficient", "conflicting", "perfect")
GUIDANCE = 4.0
TRUTH, NO_CONTROL = "true pictures", "no control"
NAMES = ("part", "network", "seed", "prompt", "scenes", "steps", "minutes")
PAGE = PAGES / "figure-8.md"
HEAD = """# Figure 8: zero convolutions, Gaussian ones, and ControlNet-lite

"""


def choose_prompts(captions: Sequence[str], setting: str) -> list[str]:
    """A prompt for each scene: of conflicting ones the next scene's."""
    return {
        "none": [""] * len(captions),
        "insufficient": [INSUFFICIENT] * len(captions),
        "conflicting": [*captions[1:], captions[0]],
        "perfect": list(captions),
    }[setting]


def train(args: argparse.Namespace, rows: Rows, name: str, seed: int) -> Trained:
    """Train a network for its minutes, or go on where it stopped."""
    named: dict[str, Any] = {"network": name, "minutes": args.minutes}
    changes: dict[str, Any] = {**prepare_scenes(args.out, SCENES, CONDITION), **NETWORKS[name]}
    timed = budget_row(rows, named, args.out / f"{name}-timed", args.minutes, **changes)
    return record_training(rows, named, args.out / f"{name}-{seed}", timed["optimizer_steps"], seed, **changes)


def score(judges: dict[str, Maps], pictures: Sequence[Image.Image]) -> dict[str, list[float | None]]:
    """The scores of pictures by every judge, as they stand in a row."""
    return {JUDGES[name]: maps.fidelity(pictures) for name, maps in judges.items()}


def fill(args: argparse.Namespace, rows: Rows, pipeline: ControlPipeline) -> None:
    """Train and draw what is missing, seeds first."""
    scenes = load_scenes(args.scenes, CONDITION)
    captions = [scenes[i].caption for i in range(len(scenes))]
    # The embedded networks lend their names and their measures.
    judges = {name: read_maps(pipeline, load_scenes(args.scenes, name), name) for name in JUDGES}
    plain = judges[CONDITION]
    shared: dict[str, Any] = {"part": "pictures", "scenes": args.scenes, "steps": args.steps}
    for index, image in enumerate(plain.images[:SHOWN]):
        write_png(image, args.out / "pictures" / f"{index}.png")
    if rows.find(**shared, network=TRUTH) is None:
        rows.add({**shared, "network": TRUTH, **score(judges, true_pictures(pipeline, scenes))})

    def measure(named: dict[str, Any], maps: Maps, prompt: str, acting: bool) -> None:
        folder = args.out / "pictures" / f"{named['network']}-{named.get('seed', 0)}" / prompt
        controls = [maps.control()] if acting else []
        pictures, seconds = draw(
            pipeline,
            choose_prompts(captions, prompt),
            controls,
            folder,
            guidance_scale=GUIDANCE,
            num_inference_steps=args.steps,
        )
        spent = {"cpu_minutes": round(seconds * len(captions) / 60, 2)}
        rows.add({**shared, **named, "prompt": prompt, **score(judges, pictures), **spent})
        print(f"{named}, prompt {prompt}: {spent['cpu_minutes']} minutes of the processor", flush=True)

    for prompt in PROMPTS:
        if rows.find(**shared, network=NO_CONTROL, prompt=prompt) is None:
            measure({"network": NO_CONTROL}, plain, prompt, False)
    for seed in args.seeds:
        for name in NETWORKS:
            named = {"network": name, "seed": seed, "minutes": args.minutes}
            missing = [prompt for prompt in PROMPTS if rows.find(**shared, **named, prompt=prompt) is None]
            if missing:
                maps = Maps(train(args, rows, name, seed).network, plain.images)
                for prompt in missing:
                    measure(named, maps, prompt, True)


@dataclass(frozen=True)
class Scores:
    """What was measured of the pictures under one prompt setting, by one judge.

    Attributes:
        ceiling: of the true pictures, a number for each scene that asks for something.
        without: of pictures without control.
        networks: by network the same for each seed of its training that is there.
    """

    ceiling: list[float]
    without: list[float]
    networks: dict[str, list[list[float]]]

    @classmethod
    def read(cls, args: argparse.Namespace, rows: Rows, prompt: str, scores: str) -> "Scores":
        """Those of a prompt setting and a judge."""
        find = partial(rows.find, part="pictures", scenes=args.scenes, steps=args.steps)
        truth, alone = find(network=TRUTH), find(network=NO_CONTROL, prompt=prompt)
        assert truth is not None and alone is not None, "they are drawn before the networks"
        kept = [i for i, value in enumerate(truth[scores]) if value is not None]
        networks = dict[str, list[list[float]]]()
        for name in NETWORKS:
            made = [find(network=name, seed=seed, prompt=prompt, minutes=args.minutes) for seed in args.seeds]
            networks[name] = [[row[scores][i] for i in kept] for row in made if row is not None]
        return cls([truth[scores][i] for i in kept], [alone[scores][i] for i in kept], networks)

    def mean(self, network: str) -> list[float]:
        """Of each scene, averaged over the seeds."""
        return np.mean(self.networks[network], axis=0).tolist()

    def rows(self) -> list[str]:
        """Of a table: the number, the share of the gap that is closed, the difference to zero convolutions, each seed."""
        lines = [f"| {TRUTH} | {short(bootstrap_mean(self.ceiling), '.3f')} | 1 | | |"]
        lines.append(f"| {NO_CONTROL} | {short(bootstrap_mean(self.without), '.3f')} | 0 | | |")
        for name, seeds in self.networks.items():
            if not seeds:
                continue
            values = self.mean(name)
            share = bootstrap_share(values, self.without, self.ceiling)
            apart = difference(values, self.mean("zero")) if name != "zero" and self.networks["zero"] else None
            cells = [short(bootstrap_mean(values), ".3f"), "none" if share is None else short(share)]
            cells += ["" if apart is None else short(apart, "+.3f"), ", ".join(f"{np.mean(each):.3f}" for each in seeds)]
            lines.append(f"| {' | '.join([name, *cells])} |")
        return lines

    def order(self) -> list[str]:
        """Whether zero convolutions are above the others, as in the paper."""
        lines = list[str]()
        for name in [other for other, seeds in self.networks.items() if other != "zero" and seeds and self.networks["zero"]]:
            apart = difference(self.mean("zero"), self.mean(name))
            lines.append(f"zero above {name}: {judge(apart, above='yes', below='no, below')}")
        return lines


def tables(args: argparse.Namespace, rows: Rows) -> list[str]:
    """What was trained, and a table for each prompt setting and judge."""
    lines = [
        "| network | seeds | seconds for a step | steps | samples | minutes of the processor |",
        "|---|---|---|---|---|---|",
    ]
    for name in NETWORKS:
        timed = rows.find(part="budget", network=name, minutes=args.minutes)
        made = [rows.find(part="training", network=name, seed=seed, minutes=args.minutes) for seed in args.seeds]
        spent = ", ".join(f"{row['cpu_minutes']:.1f}" for row in made if row is not None)
        if timed is not None and spent:
            steps = timed["optimizer_steps"]
            lines.append(f"| {name} | {len(made)} | {timed['seconds_of_step']:.2f} | {steps} | {steps * BATCH:,} | {spent} |")
    for prompt in PROMPTS:
        lines += ["", f"## Prompt: {prompt}"]
        for condition, scores in JUDGES.items():
            metric, found = conditions.get(condition).metric, Scores.read(args, rows, prompt, scores)
            lines += ["", f"| | {metric} | gap closed | against zero | of each seed |", "|---|---|---|---|---|", *found.rows()]
            lines += ["", f"By {metric}: {'; '.join(found.order())}."] if found.order() else []
    return lines


def show(args: argparse.Namespace) -> None:
    """Write the sheet: the first scenes by every network of the first seed."""
    names = {NO_CONTROL: f"{NO_CONTROL}-0", **{name: f"{name}-{args.seeds[0]}" for name in NETWORKS}}
    count, pictures = min(SHOWN, args.scenes), args.out / "pictures"
    places = [
        [pictures / f"{scene}.png", *(pictures / folder / prompt / f"{scene}.png" for prompt in PROMPTS)]
        for scene in range(count)
        for folder in names.values()
    ]
    titles = {"column_titles": ["map", *PROMPTS], "row_titles": [*names] * count}
    write_figure(args, places, **titles, title="Figure 8: networks and prompts", cell=96)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this figure has besides."""
    parser.add_argument("--minutes", type=float, default=8.0, help="of the processor, for each network")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")


def main(words: Sequence[str] | None = None) -> None:
    """Train and draw what is missing, then write the page."""
    args, rows = begin(__doc__, PAGE, NAMES, add_options, words)
    if not args.minutes > 0:
        sys.exit(f"--minutes is {args.minutes:g}; expected more than 0")
    fill(args, rows, open_tiny())
    told = (
        f"{args.scenes} scenes, {args.steps} steps, guidance {GUIDANCE:g}, {args.minutes:g} minutes of the processor a network."
    )
    show(args)
    write_page(args.page, HEAD, "experiments.paper.figure_8", [told, "", *tables(args, rows)])


if __name__ == "__main__":
    main()
