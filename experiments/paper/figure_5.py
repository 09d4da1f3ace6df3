"""Figure 5: classifier-free guidance and where the condition goes, on the tiny base, and guidance on the control beside it.

    python -m experiments.paper.figure_5
    python -m experiments.paper.figure_5 --scenes 100 --steps 20

Every setting draws the same held-out scenes from the same seeds, without a prompt and with the scene's caption. A setting
that is done is a row of docs/results/figure-5.jsonl and is not drawn again; then the tables of docs/results/figure-5.md and
the sheets in docs/images are written anew. One core of an Intel Xeon takes 8 minutes for all.
"""

import argparse
from typing import Any

from experiments.paper.appearance import APPEARANCE, appearance
from experiments.paper.comparing import difference, ratio, short
from experiments.paper.rows import PAGES, Rows, begin, write_page
from experiments.paper.scenes import SHOWN, Maps, draw, load_scenes, open_tiny, read_maps, true_pictures
from PIL import Image

from zeroconv import ControlPipeline, conditions
from zeroconv.evaluation import bootstrap_mean
from zeroconv.images import write_png
from zeroconv.sheets import contact_sheet

CONDITIONS = ("canny", "depth", "segmentation")
PROMPTS = ("none", "caption")
GUIDANCE = 4.0
SETTINGS: dict[str, dict[str, Any]] = {
    "no control": {"scale": 0.0},
    "no CFG": {"guidance_scale": 1.0},
    "CFG, both sides": {},
    "CFG, conditional side": {"weighting": "condition-only"},
    "CFG-RW": {"weighting": "resolution"},
    "decay": {"weighting": "decay"},
    "control guidance 1": {"control_guidance_scale": 1.0},
    "control guidance 2": {"control_guidance_scale": 2.0},
    "control guidance 8": {"control_guidance_scale": 8.0},
}
"""What differs from guidance 4 with the condition on both sides."""
TRUTH, REFERENCE = "true pictures", "no CFG"
NAMES = ("condition", "prompt", "setting", "scenes", "steps")
PAGE, IMAGES = PAGES / "figure-5.md", PAGES.parent / "images"
HEAD = """# Figure 5: guidance, and where the condition goes

"""


def measure(maps: Maps, pictures: list[Image.Image]) -> dict[str, Any]:
    """Fidelity and looks of each picture."""
    looks = [appearance(picture) for picture in pictures]
    return {"fidelity": maps.fidelity(pictures), **{name: [look[name] for look in looks] for name in APPEARANCE}}


def fill(args: argparse.Namespace, rows: Rows, pipeline: ControlPipeline, condition: str) -> None:
    """Draw and measure what is missing of a condition."""
    scenes = load_scenes(args.scenes, condition)
    maps = read_maps(pipeline, scenes, condition)
    shared = {"condition": condition, "scenes": args.scenes, "steps": args.steps}
    for prompt in PROMPTS:
        folder = args.out / condition / prompt
        if rows.find(**shared, prompt=prompt, setting=TRUTH) is None:
            rows.add({**shared, "prompt": prompt, "setting": TRUTH, **measure(maps, true_pictures(pipeline, scenes))})
        captions = [scenes[i].caption if prompt == "caption" else "" for i in range(len(scenes))]
        for index, (setting, changes) in enumerate(SETTINGS.items()):
            if rows.find(**shared, prompt=prompt, setting=setting) is not None:
                continue
            settings: dict[str, Any] = {"guidance_scale": GUIDANCE, "num_inference_steps": args.steps, **changes}
            controls = [maps.control()] if settings.pop("scale", 1.0) else []
            pictures, seconds = draw(pipeline, captions, controls, folder / str(index), **settings)
            rows.add({**shared, "prompt": prompt, "setting": setting, **measure(maps, pictures), "seconds": round(seconds, 3)})
            print(f"{condition}, prompt {prompt}, {setting}: {seconds:.2f} s a picture", flush=True)
    for index, image in enumerate(maps.images[:SHOWN]):
        write_png(image, args.out / condition / f"{index}.png")


def table(args: argparse.Namespace, rows: Rows, condition: str, prompt: str) -> list[str]:
    """The table of a condition and a prompt."""
    shared = {"condition": condition, "prompt": prompt, "scenes": args.scenes, "steps": args.steps}
    found = {setting: rows.find(**shared, setting=setting) for setting in (TRUTH, *SETTINGS)}
    made = {setting: row for setting, row in found.items() if row is not None}
    if TRUTH not in made or REFERENCE not in made:
        return []
    truth, reference = made[TRUTH], made[REFERENCE]
    kept = [i for i, value in enumerate(truth["fidelity"]) if value is not None]
    words = "no prompt" if prompt == "none" else "the scene's caption"
    heads = [conditions.get(condition).metric, "against no CFG", "sharpness", "colour", "clipped"]
    lines = [f"**{condition}, {words}**", "", f"| | {' | '.join(heads)} |", "|---|---|---|---|---|---|"]
    for setting, row in made.items():
        values = [row["fidelity"][i] for i in kept]
        apart = short(difference(values, [reference["fidelity"][i] for i in kept]), "+.3f")
        looks = [short(ratio(row[name], truth[name])) for name in ("sharpness", "colour")]
        clipped = f"{sum(row['clipped']) / len(row['clipped']):.1%}"
        cells = [short(bootstrap_mean(values), ".3f"), "" if setting == REFERENCE else apart, *looks, clipped]
        lines.append(f"| {setting} | {' | '.join(cells)} |")
    return [*lines, ""]


def sheet(args: argparse.Namespace, prompt: str) -> Image.Image | None:
    """The first scenes in every setting; None where pictures are missing, because rows were made elsewhere."""
    lines: list[list[Image.Image]] = []
    for condition in CONDITIONS:
        for scene in range(SHOWN - 1):
            places = [args.out / condition / f"{scene}.png"]
            places += [args.out / condition / prompt / str(index) / f"{scene}.png" for index in range(len(SETTINGS))]
            if not all(place.exists() for place in places):
                return None
            lines.append([Image.open(place) for place in places])
    title = f"Figure 5, {'without a prompt' if prompt == 'none' else 'with captions'}"
    return contact_sheet(lines, column_titles=["map", *SETTINGS], title=title, cell=128)


def main() -> None:
    """Draw what is missing, then write the page."""
    args, rows = begin(__doc__, PAGE, NAMES)
    pipeline = open_tiny()
    lines = [f"{args.scenes} scenes, {args.steps} steps, guidance {GUIDANCE:g}.", ""]
    for condition in CONDITIONS:
        fill(args, rows, pipeline, condition)
    for condition in CONDITIONS:
        lines += [line for prompt in PROMPTS for line in table(args, rows, condition, prompt)]
    for prompt in PROMPTS:
        found = sheet(args, prompt)
        if found is None:
            print(f"no new sheet, prompt {prompt}: pictures are missing in {args.out}; --fresh draws all again")
        else:
            found.save(IMAGES / f"figure-5-{prompt}.webp", quality=90)
    write_page(PAGE, HEAD, "experiments.paper.figure_5", lines[:-1])


if __name__ == "__main__":
    main()
