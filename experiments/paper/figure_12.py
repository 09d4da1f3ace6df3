"""Figure 12: ControlNets of the tiny base on two "community" bases, which were fine-tuned to other styles.

    python -m experiments.paper.figure_12
    python -m experiments.paper.figure_12 --minutes 40 --scenes 100

Two bases are fine-tuned, one to line art and one to night scenes, for `--minutes` of the processor each. Then the original and
both of them draw the same held-out scenes from the same seeds, maps and prompts: without control, and with the embedded
ControlNets as they are. What is done is a row of docs/results/figure-12.jsonl and not done again, and a training that was
stopped goes on; then the tables of docs/results/figure-12.md and the sheet in docs/images are written anew.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.paper.appearance import APPEARANCE, appearance, colour_distance
from experiments.paper.community import STYLES, open_community
from experiments.paper.rows import PAGES, Row, Rows, begin, write_figure, write_page
from experiments.paper.scenes import SHOWN, Maps, draw, load_scenes, open_tiny, read_maps, true_pictures
from experiments.paper.transferred import NO_CONTROL, ORIGINAL, TRUTH, Results
from PIL import Image

from zeroconv import ControlPipeline
from zeroconv.images import write_png

CONDITIONS = ("canny", "depth", "segmentation")
PROMPTS = {"none": "without a prompt", "caption": "with the scene's caption"}
GUIDANCE = 4.0
NAMES = ("part", "base", "shown", "prompt", "scenes", "steps", "minutes")
PAGE = PAGES / "figure-12.md"
HEAD = """# Figure 12: transfer to community models

By `python -m experiments.paper.figure_12`: the tiny base, and two copies whose U-Nets were fine-tuned on scenes in other
styles, line art and night; the ControlNets were trained on the tiny base alone and are used as they are. Fidelity is each
condition's own measure, read back from the picture; the gap of a base is that between its own pictures without control (0) and
the true pictures in its style through the autoencoder (1). "Gap kept" is the share that is closed on a community base over that
closed on the original, "fidelity kept" the same of the bare measure. Means with 95 % bootstrap intervals over the scenes.
Segmentation and depth are read back by a small annotator that knows the tiny world as it is: "true pictures" says how much of a
style it can read, and below half of the original's nothing is judged; nor where a gap is narrower than 0.1, nor where a
base has not surely gone half of the way to its style. Line art is drawn from Canny edges, so edges are easily read
there. The paper shows pictures on two community models and gives no number: the line at 90 % and these limits are drawn here.

![The same maps and prompts on three bases](../images/figure-12.webp)

"""
Restyle = Callable[[Image.Image], Image.Image]
BASES: dict[str, Restyle] = {ORIGINAL: lambda image: image, **STYLES}


def fill(args: argparse.Namespace, rows: Rows, original: ControlPipeline) -> None:
    """Train and draw what is missing, base after base."""
    scenes = {condition: load_scenes(args.scenes, condition) for condition in CONDITIONS}
    maps = {condition: read_maps(original, some, condition) for condition, some in scenes.items()}
    plain = scenes[CONDITIONS[0]]
    images, captions = ([getattr(plain[i], name) for i in range(args.scenes)] for name in ("image", "caption"))
    keep(args.out / "pictures" / "maps" / TRUTH, images)
    for condition, of in maps.items():
        keep(args.out / "pictures" / "maps" / condition, of.images)
    decoded = {name: true_pictures(original, plain, restyle) for name, restyle in BASES.items()}
    for name in BASES:
        minutes = None if name == ORIGINAL else args.minutes
        shared: Row = {"part": "pictures", "base": name, "scenes": args.scenes, "steps": args.steps}
        if rows.find(**shared, shown=TRUTH) is None:
            keep(args.out / "pictures" / name / TRUTH, decoded[name])
            rows.add({**shared, "shown": TRUTH, **measure(decoded[name], decoded, maps)})
        wanted = [{"shown": shown, "prompt": prompt} for prompt in PROMPTS for shown in (NO_CONTROL, *CONDITIONS)]
        missing = [each for each in wanted if rows.find(**shared, **each, minutes=minutes) is None]
        if not missing:
            continue
        pipeline = original if minutes is None else open_pipeline(args, rows, name)
        for each in missing:
            using = {name: of for name, of in maps.items() if each["shown"] in (NO_CONTROL, name)}
            folder = args.out / "pictures" / folder_of(name, minutes, **each)
            pictures, seconds = draw(
                pipeline, captions if each["prompt"] == "caption" else [""] * args.scenes,
                [] if each["shown"] == NO_CONTROL else [maps[each["shown"]].control()], folder,
                guidance_scale=GUIDANCE, num_inference_steps=args.steps,
            )  # fmt: skip
            spent = {"minutes": minutes, "cpu_minutes": round(seconds * args.scenes / 60, 2)}
            rows.add({**shared, **each, **measure(pictures, decoded, using), **spent})
            print(
                f"{name}, {each['shown']}, prompt {each['prompt']}: {spent['cpu_minutes']} minutes of the processor", flush=True
            )


def open_pipeline(args: argparse.Namespace, rows: Rows, style: str) -> ControlPipeline:
    """A community base, and the row of its training."""
    base, phase = open_community(args.out, style, args.minutes)
    named: Row = {"part": "training", "base": style, "minutes": args.minutes}
    if rows.find(**named) is None:
        spent = round(phase.seconds / 60, 2)
        rows.add({**named, "optimizer_steps": phase.steps, "samples": phase.samples, "cpu_minutes": spent})
        print(f"{style}: {phase.steps} steps in {spent} minutes of the processor", flush=True)
    return ControlPipeline(base).optimize(runtime="plan")


def measure(pictures: Sequence[Image.Image], decoded: Mapping[str, Sequence[Image.Image]], maps: Mapping[str, Maps]) -> Row:
    """Fidelity to maps, the looks, and how far the colours are from the true ones of each style.

    Args:
        pictures: one of each scene.
        decoded: the true ones in each style, through the autoencoder.
        maps: by condition.
    """
    looks = [appearance(picture) for picture in pictures]
    found: Row = {condition: of.fidelity(pictures) for condition, of in maps.items()}
    found |= {name: [look[name] for look in looks] for name in APPEARANCE}
    for style in STYLES:
        found[f"colours to {style}"] = [colour_distance(*both) for both in zip(pictures, decoded[style], strict=True)]
    return found


def keep(folder: Path, pictures: Sequence[Image.Image]) -> None:
    """Save the first pictures for the sheet."""
    for index, image in enumerate(pictures[:SHOWN]):
        write_png(image, folder / f"{index}.png")


def folder_of(base: str, minutes: float | None, shown: str, prompt: str) -> Path:
    """Where the pictures of a row lie."""
    return Path(base if minutes is None else f"{base}-{minutes:g}") / f"{shown}-{prompt}"


def show(args: argparse.Namespace) -> None:
    """Write the sheet: the same scenes, maps and captions on every base, and the true pictures in its style above."""
    pictures, places, titles = args.out / "pictures", list[Any](), list[str]()
    for scene in range(min(SHOWN - 1, args.scenes)):
        for shown in (TRUTH, NO_CONTROL, *CONDITIONS):
            first = None if shown == NO_CONTROL else pictures / "maps" / shown / f"{scene}.png"
            folders = [
                Path(name, TRUTH) if shown == TRUTH
                else folder_of(name, None if name == ORIGINAL else args.minutes, shown, "caption")
                for name in BASES
            ]  # fmt: skip
            places.append([first, *(pictures / folder / f"{scene}.png" for folder in folders)])
            titles.append("true, decoded" if shown == TRUTH else shown)
    heads = ["map", *BASES]
    write_figure(
        args, places, column_titles=heads, row_titles=titles, title="Figure 12: the same controls on three bases", cell=96
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this figure has besides."""
    parser.add_argument("--minutes", type=float, default=20.0, help="of the processor, for each fine-tuning")


def main(words: Sequence[str] | None = None) -> None:
    """Train and draw what is missing, then write the page."""
    args, rows = begin(__doc__, PAGE, NAMES, add_options, words)
    if not args.minutes > 0:
        sys.exit(f"--minutes is {args.minutes:g}; expected more than 0")
    fill(args, rows, open_tiny())
    show(args)
    results = Results(rows, args.scenes, args.steps, args.minutes)
    lines = [f"{args.scenes} scenes, {args.steps} steps, guidance {GUIDANCE:g}. {rows.measured}", "", *results.styles(STYLES)]
    for prompt, words_of in PROMPTS.items():
        lines += ["", f"**{words_of}**", "", *results.table(prompt, CONDITIONS, STYLES)]
    lines += ["", *results.verdict(PROMPTS, CONDITIONS, STYLES)]
    write_page(args.page, HEAD, "experiments.paper.figure_12", lines)


if __name__ == "__main__":
    main()
