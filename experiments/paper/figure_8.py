"""Figure 8: zero convolutions, Gaussian ones in their place, and ControlNet-lite, each under four prompt settings.

    python -m experiments.paper.figure_8
    python -m experiments.paper.figure_8 --minutes 30 --seeds 0 1 2

Every network is trained on the same scenes for `--minutes` of the processor: a step of each kind is timed first, and the
minutes are turned into steps. Then it draws the same held-out scenes from the same seeds: without a prompt, with one that names
nothing, with the caption of the next scene, and with the scene's own. What is done is a row of docs/results/figure-8.jsonl and
not done again, and a training that was stopped goes on; then the tables of docs/results/figure-8.md and the sheet in
docs/images are written anew.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from experiments.paper.comparing import difference, mean_of_seeds, short
from experiments.paper.rows import PAGES, Rows, begin, write_figure, write_page
from experiments.paper.scenes import SHOWN, Maps, draw, load_scenes, open_tiny, read_maps, true_pictures
from experiments.paper.training import BATCH, Trained, budget_row, prepare_scenes, record_training

from zeroconv import ControlPipeline, conditions
from zeroconv.evaluation import bootstrap_mean, bootstrap_share
from zeroconv.images import write_png

CONDITION, SCENES = "canny", 1000
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


def fill(args: argparse.Namespace, rows: Rows, pipeline: ControlPipeline) -> None:
    """Train and draw what is missing, seeds first."""
    scenes = load_scenes(args.scenes, CONDITION)
    captions = [scenes[i].caption for i in range(len(scenes))]
    plain = read_maps(pipeline, scenes, CONDITION)  # the embedded network lends its name and its measure
    shared: dict[str, Any] = {"part": "pictures", "scenes": args.scenes, "steps": args.steps}
    for index, image in enumerate(plain.images[:SHOWN]):
        write_png(image, args.out / "pictures" / f"{index}.png")
    if rows.find(**shared, network=TRUTH) is None:
        rows.add({**shared, "network": TRUTH, "fidelity": plain.fidelity(true_pictures(pipeline, scenes))})

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
        rows.add({**shared, **named, "prompt": prompt, "fidelity": maps.fidelity(pictures), **spent})
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


def tables(args: argparse.Namespace, rows: Rows) -> list[str]:
    """What was trained, and a table for each prompt setting."""
    find = partial(rows.find, part="pictures", scenes=args.scenes, steps=args.steps)
    truth = find(network=TRUTH)
    assert truth is not None, "it is drawn first"
    kept = [i for i, value in enumerate(truth["fidelity"]) if value is not None]
    ceiling = [truth["fidelity"][i] for i in kept]
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
    metric = conditions.get(CONDITION).metric
    for prompt in PROMPTS:
        alone = find(network=NO_CONTROL, prompt=prompt)
        found = {
            name: [find(network=name, seed=seed, prompt=prompt, minutes=args.minutes) for seed in args.seeds]
            for name in NETWORKS
        }
        made = {name: [row for row in some if row is not None] for name, some in found.items()}
        assert alone is not None, "it is drawn before the networks"
        without = [alone["fidelity"][i] for i in kept]
        lines += [
            "",
            f"**prompt: {prompt}**",
            "",
            f"| | {metric} | gap closed | against zero | of each seed |",
            "|---|---|---|---|---|",
        ]
        lines.append(f"| {TRUTH} | {short(bootstrap_mean(ceiling), '.3f')} | 1 | | |")
        lines.append(f"| {NO_CONTROL} | {short(bootstrap_mean(without), '.3f')} | 0 | | |")
        for name, some in made.items():
            if not some:
                continue
            values = mean_of_seeds(some, kept)
            share = bootstrap_share(values, without, ceiling)
            apart = (
                short(difference(values, mean_of_seeds(made["zero"], kept)), "+.3f") if name != "zero" and made["zero"] else ""
            )
            each = ", ".join(f"{np.mean([row['fidelity'][i] for i in kept]):.3f}" for row in some)
            closed = "none" if share is None else short(share)
            lines.append(f"| {name} | {short(bootstrap_mean(values), '.3f')} | {closed} | {apart} | {each} |")
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
