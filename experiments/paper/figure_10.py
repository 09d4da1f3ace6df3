"""Figure 10: how many pairs a ControlNet needs, on the scenes that it was trained on and on held-out ones.

    python -m experiments.paper.figure_10
    python -m experiments.paper.figure_10 --minutes 60 --pairs 100 1000 10000 --seeds 0 1 2

Every network is trained for the same number of steps, on so many scenes: a step is timed first, and `--minutes` of the
processor are turned into steps. Scenes are rendered when a training comes to them, so ten thousand cost no more renders than
are seen. A new scene takes about a tenth of a second on top of the minutes; on later visits those beyond the 4,096
that stay in memory are rendered again. Then each network draws scenes that it was trained on and held-out ones, from the same
seeds, without a prompt and with the scene's caption. What is done is a row of docs/results/figure-10.jsonl and not done again,
and a training that was stopped goes on; then the tables of docs/results/figure-10.md and the sheet in docs/images are written
anew.
"""

import argparse
import operator
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from experiments.paper.comparing import Marks, compare_shares, difference, judge, mean_of_seeds, short
from experiments.paper.rows import PAGES, Row, Rows, begin, write_figure, write_page
from experiments.paper.scenes import SHOWN, Maps, draw, load_scenes, open_tiny, read_maps, true_pictures
from experiments.paper.training import BATCH, FIRST, Trained, budget_row, prepare_scenes, record_training

from zeroconv import ControlPipeline, conditions
from zeroconv.evaluation import bootstrap_mean, bootstrap_share
from zeroconv.images import write_png
from zeroconv.world import HELD_OUT_SEED

CONDITION = "segmentation"  # whose maps are the same at every visit, so that they could be learnt by heart
SETS = {"trained": FIRST, "held out": HELD_OUT_SEED}
"""The first scene of each set that is drawn."""
PROMPTS = {"none": "without a prompt", "caption": "with the scene's caption"}
GUIDANCE = 4.0
TRUTH, NO_CONTROL, CONTROL = "true pictures", "no control", "control"
NAMES = ("part", "set", "shown", "pairs", "seed", "prompt", "scenes", "steps", "minutes")
PAGE = PAGES / "figure-10.md"
HEAD = """# Figure 10: the number of pairs

By `python -m experiments.paper.figure_10`: a ControlNet by the default recipe for narrow bases, trained for the same number of
steps on more and more scenes of the tiny world. "Trained" are the first scenes of every training, "held out" are scenes that no
training saw; both are drawn from the same seeds. The gap is that between no control (0) and the true pictures through the
autoencoder (1). Means over the seeds of a training, 95 % bootstrap intervals over the scenes. Where a scene has fewer visits
than one, some of the trained ones were not seen yet. The paper shows one picture for each of 1,000, 50,000 and 3 million pairs.

![Scenes of both sets by each network](../images/figure-10.webp)

"""


def train(args: argparse.Namespace, rows: Rows, pairs: int, seed: int) -> Trained:
    """Train on so many scenes, or go on where it stopped; one scene more is held out by the training itself."""
    minutes: Row = {"minutes": args.minutes}
    prepared = prepare_scenes(args.out / "timed", min(args.pairs), CONDITION)
    timed = budget_row(rows, minutes, args.out / "timed" / "run", args.minutes, **prepared)
    changes = {"data.source": f"world:{pairs + 1}@{FIRST}", "data.condition": CONDITION}
    folder = args.out / f"{pairs}-pairs-{seed}-{args.minutes:g}"
    return record_training(rows, {"pairs": pairs, **minutes}, folder, timed["optimizer_steps"], seed, **changes)


def fill(args: argparse.Namespace, rows: Rows, pipeline: ControlPipeline) -> None:
    """Train and draw what is missing, seeds first."""
    scenes = {name: load_scenes(args.scenes, CONDITION, first=first) for name, first in SETS.items()}
    maps = {name: read_maps(pipeline, some, CONDITION) for name, some in scenes.items()}
    shared: Row = {"part": "pictures", "scenes": args.scenes, "steps": args.steps}
    for name, some in scenes.items():
        named = {**shared, "set": name, "shown": TRUTH}
        for index in range(min(SHOWN, args.scenes)):
            write_png(maps[name].images[index], args.out / "pictures" / name / "map" / f"{index}.png")
        if rows.find(**named) is None:
            pictures = true_pictures(pipeline, some)
            for index, image in enumerate(pictures[:SHOWN]):
                write_png(image, args.out / "pictures" / name / TRUTH / f"{index}.png")
            rows.add({**named, "fidelity": maps[name].fidelity(pictures)})

    def measure(named: Row, using: Maps, prompt: str, acting: bool) -> None:
        some = scenes[named["set"]]
        captions = [some[i].caption if prompt == "caption" else "" for i in range(len(some))]
        folder = args.out / "pictures" / named["set"] / folder_of(named, prompt)
        settings = {"guidance_scale": GUIDANCE, "num_inference_steps": args.steps}
        pictures, seconds = draw(pipeline, captions, [using.control()] if acting else [], folder, **settings)
        spent = round(seconds * len(captions) / 60, 2)
        rows.add({**shared, **named, "prompt": prompt, "fidelity": using.fidelity(pictures), "cpu_minutes": spent})
        print(f"{named}, prompt {prompt}: {spent} minutes of the processor", flush=True)

    both = [(name, prompt) for name in SETS for prompt in PROMPTS]
    for name, prompt in both:
        named = {"set": name, "shown": NO_CONTROL}
        if rows.find(**shared, **named, prompt=prompt) is None:
            measure(named, maps[name], prompt, False)
    for seed in args.seeds:
        for pairs in args.pairs:
            named = {"shown": CONTROL, "pairs": pairs, "seed": seed, "minutes": args.minutes}
            missing = [each for each in both if rows.find(**shared, **named, set=each[0], prompt=each[1]) is None]
            if missing:
                network = train(args, rows, pairs, seed).network
                for name, prompt in missing:
                    measure({"set": name, **named}, Maps(network, maps[name].images), prompt, True)


def folder_of(named: Row, prompt: str) -> str:
    """Where the pictures of a row lie in the folder of its set."""
    if named["shown"] == NO_CONTROL:
        return f"{NO_CONTROL}-{prompt}"
    return f"{named['pairs']}-{named['seed']}-{named['minutes']:g}-{prompt}"


@dataclass(frozen=True)
class Results:
    """What was measured, for the tables.

    Attributes:
        args: of the figure.
        rows: of it.
    """

    args: argparse.Namespace
    rows: Rows

    def fidelity(self, chosen: str, prompt: str, shown: str | int) -> list[float | None]:
        """Of each scene of a set, for the true pictures, without control, or with the control of so many pairs."""
        named: Row = {"part": "pictures", "set": chosen, "scenes": self.args.scenes, "steps": self.args.steps}
        if shown == TRUTH:
            found = [self.rows.find(**named, shown=TRUTH)]
        elif shown == NO_CONTROL:
            found = [self.rows.find(**named, shown=NO_CONTROL, prompt=prompt)]
        else:
            named |= {"shown": CONTROL, "pairs": shown, "prompt": prompt, "minutes": self.args.minutes}
            found = [self.rows.find(**named, seed=seed) for seed in self.args.seeds]
        made = [row for row in found if row is not None]
        kept = [i for i in range(self.args.scenes) if made[0]["fidelity"][i] is not None]
        means = dict(zip(kept, mean_of_seeds(made, kept), strict=True))
        return [means.get(i) for i in range(self.args.scenes)]

    def values(self, chosen: str, prompt: str, shown: str | int) -> list[float]:
        """The same of the scenes whose map asks for something."""
        return [value for value in self.fidelity(chosen, prompt, shown) if value is not None]

    def marks(self, chosen: str, prompt: str, pairs: int) -> Marks:
        """Of a set with the control of so many pairs."""
        of_pairs, without, ceiling = (self.values(chosen, prompt, shown) for shown in (pairs, NO_CONTROL, TRUTH))
        return of_pairs, without, ceiling

    def gap(self, chosen: str, prompt: str, pairs: int) -> str:
        """The share of the gap that is closed."""
        found = bootstrap_share(*self.marks(chosen, prompt, pairs))
        return "none" if found is None else short(found)

    def trained(self) -> list[str]:
        """The table of the trainings."""
        timed = self.rows.find(part="budget", minutes=self.args.minutes)
        assert timed is not None, "it is timed before the first training"
        samples = timed["optimizer_steps"] * BATCH
        told = f"Each network: {timed['optimizer_steps']} steps of {BATCH} samples, of {timed['seconds_of_step']:.2f} s."
        lines = [told, "", "| pairs | seeds | samples | visits to a scene | scenes seen | minutes of the processor |"]
        lines.append("|---|---|---|---|---|---|")
        for pairs in self.args.pairs:
            named: Row = {"part": "training", "pairs": pairs, "minutes": self.args.minutes}
            made = [self.rows.find(**named, seed=seed) for seed in self.args.seeds]
            spent = ", ".join(f"{row['cpu_minutes']:.1f}" for row in made if row is not None)
            visits = samples / pairs
            often = f"{visits:,.0f}" if visits >= 10 else f"{visits:.2g}"
            numbers = f"{len(made)} | {samples:,} | {often} | {min(samples, pairs):,}"
            lines.append(f"| {pairs:,} | {numbers} | {spent} |")
        return lines

    def table(self, prompt: str) -> list[str]:
        """Fidelity on both sets."""
        heads = " | ".join(f"{conditions.get(CONDITION).metric}, {name} | gap closed" for name in SETS)
        lines = [
            f"**{PROMPTS[prompt]}**",
            "",
            f"| pairs | {heads} | gap closed, trained less held out |",
            "|---|---|---|---|---|---|",
        ]
        for shown in (TRUTH, NO_CONTROL, *self.args.pairs):
            cells = [f"{shown:,}" if isinstance(shown, int) else shown]
            for name in SETS:
                closed = self.gap(name, prompt, shown) if isinstance(shown, int) else "1" if shown == TRUTH else "0"
                cells += [short(bootstrap_mean(self.values(name, prompt, shown)), ".3f"), closed]
            apart = self.over_fitting(prompt, shown) if isinstance(shown, int) else None
            lines.append(f"| {' | '.join(cells)} | {'' if apart is None else short(apart, '+.2f')} |")
        return lines

    def over_fitting(self, prompt: str, pairs: int) -> Any:
        """How much more of the gap is closed on scenes of the training than on others; None where there is no gap."""
        marks = [self.marks(name, prompt, pairs) for name in SETS]
        count = min(len(each[0]) for each in marks)  # scene i of one set has nothing to do with scene i of the other
        first, second = ((each[0][:count], each[1][:count], each[2][:count]) for each in marks)
        return compare_shares(first, second, operator.sub)

    def verdict(self) -> list[str]:
        """What the paper says of the figure, and what these numbers say of it."""
        fewest, lines = min(self.args.pairs), ["**What agrees with the paper, and what does not**", ""]
        for prompt, words in PROMPTS.items():
            found = bootstrap_share(*self.marks("held out", prompt, fewest))
            if found is not None:
                told = f"the control closes {short(found)} of the gap of held-out scenes, where 0 is no control"
                lines.append(f"- Training does not collapse on few pairs, here {fewest:,}, {words}: {judge(found)}; {told}.")
        for fewer, more in pairwise(sorted(self.args.pairs)):
            for prompt, words in PROMPTS.items():
                found = difference(*(self.values("held out", prompt, pairs) for pairs in (more, fewer)))
                told = f"{conditions.get(CONDITION).metric} of held-out scenes {short(found, '+.3f')}"
                lines.append(f"- {more:,} pairs better than {fewer:,}, {words}: {judge(found)}; {told}.")
        lines += [
            "",
            "Over-fitting, of which the paper says nothing (gap closed on trained scenes less that on held-out ones):",
            "",
        ]
        for pairs in sorted(self.args.pairs):
            for prompt, words in PROMPTS.items():
                if (found := self.over_fitting(prompt, pairs)) is not None:
                    seen = judge(found, above="seen", below="the other way round")
                    lines.append(f"- {pairs:,} pairs, {words}: {seen}; {short(found, '+.2f')}.")
        return lines


def show(args: argparse.Namespace) -> None:
    """Write the sheet: scenes of both sets by the networks of the first seed."""
    pictures, networks = args.out / "pictures", [{"shown": NO_CONTROL}]
    networks += [{"shown": CONTROL, "pairs": pairs, "seed": args.seeds[0], "minutes": args.minutes} for pairs in args.pairs]
    places, titles = list[Any](), list[str]()
    for name in SETS:
        for prompt in PROMPTS:
            folders = ["map", TRUTH, *(folder_of(named, prompt) for named in networks)]
            for scene in range(min(SHOWN - 1, args.scenes)):
                places.append([pictures / name / folder / f"{scene}.png" for folder in folders])
                titles.append(f"{name}, {'no prompt' if prompt == 'none' else prompt}")
    heads = ["map", "true picture, decoded", NO_CONTROL, *(f"{pairs:,} pairs" for pairs in args.pairs)]
    write_figure(args, places, column_titles=heads, row_titles=titles, title="Figure 10: the number of pairs", cell=96)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this figure has besides."""
    parser.add_argument("--minutes", type=float, default=20.0, help="of the processor, for each network, without rendering")
    parser.add_argument("--pairs", type=int, nargs="+", default=[100, 1000, 10_000], help="numbers of scenes to train on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the trainings")


def main(words: Sequence[str] | None = None) -> None:
    """Train and draw what is missing, then write the page."""
    args, rows = begin(__doc__, PAGE, NAMES, add_options, words)
    if not args.minutes > 0:
        sys.exit(f"--minutes is {args.minutes:g}; expected more than 0")
    if min(args.pairs) < args.scenes:
        sys.exit(f"--pairs has {min(args.pairs)}; expected at least the {args.scenes} of --scenes, which are drawn of them")
    fill(args, rows, open_tiny())
    show(args)
    results = Results(args, rows)
    told = f"{CONDITION}; {args.scenes} scenes of each set, {args.steps} steps, guidance {GUIDANCE:g}. {rows.measured}"
    lines = [told, "", *results.trained()]
    for prompt in PROMPTS:
        lines += ["", *results.table(prompt)]
    write_page(args.page, HEAD, "experiments.paper.figure_10", [*lines, "", *results.verdict()])


if __name__ == "__main__":
    main()
