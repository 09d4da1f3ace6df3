"""Figure 6: two conditions together, of one scene and of two different ones, on the tiny base.

    python -m experiments.paper.figure_6
    python -m experiments.paper.figure_6 --scenes 100 --steps 20

Two ControlNets compose by adding their residuals, "with no extra weighting or linear interpolation" (section 3.4). Every
picture is measured against the map of its scene by each of the two conditions, and against the second condition's map of the
next scene, which contradicts the first. A setting that is done is a row of docs/results/figure-6.jsonl and is not drawn again;
then the tables of docs/results/figure-6.md and the sheets in docs/images are written anew. One core of an Intel Xeon takes 5
minutes for all.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from experiments.paper.comparing import short
from experiments.paper.rows import PAGES, Rows, begin, write_page
from experiments.paper.scenes import SHOWN, Maps, draw, load_scenes, open_tiny, read_maps, true_pictures
from PIL import Image

from zeroconv import ControlPipeline, conditions
from zeroconv.evaluation import bootstrap_mean
from zeroconv.generation import Control
from zeroconv.images import write_png
from zeroconv.sheets import contact_sheet

COUPLES: dict[str, tuple[str, str, str | None]] = {
    "pose + depth": ("pose", "depth", "person"),
    "canny + segmentation": ("canny", "segmentation", None),
}
"""Two conditions, and the kind of scenes."""
PROMPTS = ("caption", "none")
GUIDANCE = 4.0
Choice = Callable[[Maps, Maps, Maps], Sequence[Control]]
SETTINGS: dict[str, Choice] = {
    "neither": lambda first, second, other: [],
    "first": lambda first, second, other: [first.control()],
    "second": lambda first, second, other: [second.control()],
    "both": lambda first, second, other: [first.control(), second.control()],
    "both at 0.5": lambda first, second, other: [first.control(0.5), second.control(0.5)],
    "second of the next scene": lambda first, second, other: [other.control()],
    "first, and second of the next scene": lambda first, second, other: [first.control(), other.control()],
}
"""The controls of a setting, from the maps of both conditions and the second one's of the next scene."""
TRUTH = "true pictures"
MEASURES = ("first", "second", "other")
NAMES = ("couple", "prompt", "setting", "scenes", "steps")
PAGE, IMAGES = PAGES / "figure-6.md", PAGES.parent / "images"
HEAD = """# Figure 6: two conditions together

"""


def fill(args: argparse.Namespace, rows: Rows, pipeline: ControlPipeline, couple: str) -> None:
    """Draw and measure what is missing of a couple of conditions."""
    names, out = COUPLES[couple], args.out / couple.replace(" + ", "-")
    scenes = load_scenes(args.scenes, names[0], names[2]), load_scenes(args.scenes, names[1], names[2])
    first, second = read_maps(pipeline, scenes[0], names[0]), read_maps(pipeline, scenes[1], names[1])
    maps = {"first": first, "second": second, "other": second.shift()}
    shared: dict[str, Any] = {"couple": couple, "scenes": args.scenes, "steps": args.steps}

    def measure(pictures: list[Image.Image]) -> dict[str, list[float | None]]:
        return {name: of.fidelity(pictures) for name, of in maps.items()}

    for prompt in PROMPTS:
        if rows.find(**shared, prompt=prompt, setting=TRUTH) is None:
            rows.add({**shared, "prompt": prompt, "setting": TRUTH, **measure(true_pictures(pipeline, scenes[0]))})
        captions = [scenes[0][i].caption if prompt == "caption" else "" for i in range(args.scenes)]
        for index, (setting, choose) in enumerate(SETTINGS.items()):
            if rows.find(**shared, prompt=prompt, setting=setting) is not None:
                continue
            pictures, seconds = draw(
                pipeline, captions, choose(*maps.values()), out / prompt / str(index),
                guidance_scale=GUIDANCE if prompt == "caption" else 1.0, num_inference_steps=args.steps,
            )  # fmt: skip
            rows.add({**shared, "prompt": prompt, "setting": setting, **measure(pictures), "seconds": round(seconds, 3)})
            print(f"{couple}, prompt {prompt}, {setting}: {seconds:.2f} s a picture", flush=True)
    for name, of in maps.items():
        for index, image in enumerate(of.images[:SHOWN]):
            write_png(image, out / f"{name}-{index}.png")


def table(args: argparse.Namespace, rows: Rows, couple: str, prompt: str) -> list[str]:
    """The table of a couple and a prompt."""
    shared = {"couple": couple, "prompt": prompt, "scenes": args.scenes, "steps": args.steps}
    found = {setting: rows.find(**shared, setting=setting) for setting in (TRUTH, *SETTINGS)}
    made = {setting: row for setting, row in found.items() if row is not None}
    if TRUTH not in made:
        return []
    first, second, _ = COUPLES[couple]
    metrics = [conditions.get(name).metric for name in (first, second)]
    heads = f"{first} ({metrics[0]}) | {second} ({metrics[1]}) | {second} of the next scene"
    words = "without a prompt or CFG" if prompt == "none" else f"with the first scene's caption, guidance {GUIDANCE:g}"
    lines = [f"**{couple}, {words}**", "", f"| controls | {heads} |", "|---|---|---|---|"]
    for setting, row in made.items():
        cells = [short(bootstrap_mean([value for value in row[name] if value is not None]), ".3f") for name in MEASURES]
        title = " ".join({"first": first, "first,": f"{first},", "second": second}.get(word, word) for word in setting.split())
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return [*lines, ""]


def sheet(args: argparse.Namespace, couple: str) -> Image.Image | None:
    """The first scenes in every setting; None where pictures are missing, because rows were made elsewhere."""
    out, lines = args.out / couple.replace(" + ", "-"), list[list[Image.Image]]()
    for prompt in PROMPTS:
        for scene in range(SHOWN):
            places = [out / f"{name}-{scene}.png" for name in MEASURES]
            places += [out / prompt / str(index) / f"{scene}.png" for index in range(len(SETTINGS))]
            if not all(place.exists() for place in places):
                return None
            lines.append([Image.open(place) for place in places])
    first, second, _ = COUPLES[couple]
    heads = [f"{first} map", f"{second} map", f"{second} of the next", "neither", first, second, "both", "both at 0.5"]
    heads += [f"{second} of the next", "conflicting"]
    return contact_sheet(lines, heads, title=f"{couple}: with captions, then without prompts", cell=128)


def main() -> None:
    """Draw what is missing, then write the page."""
    args, rows = begin(__doc__, PAGE, NAMES)
    pipeline = open_tiny()
    lines = [f"{args.scenes} scenes, {args.steps} steps.", ""]
    for couple in COUPLES:
        fill(args, rows, pipeline, couple)
        lines += [line for prompt in PROMPTS for line in table(args, rows, couple, prompt)]
        found = sheet(args, couple)
        if found is None:
            print(f"no new sheet of {couple}: pictures are missing in {args.out}; --fresh draws all again")
        else:
            found.save(IMAGES / f"figure-6-{couple.replace(' + ', '-')}.webp", quality=90)
    write_page(PAGE, HEAD, "experiments.paper.figure_6", lines[:-1])


if __name__ == "__main__":
    main()
