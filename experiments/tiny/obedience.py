"""Does the tiny base make what its prompts name, in the colours they say, and as sharp as its autoencoder can?

    python -m experiments.tiny.obedience --count 200

Held-out captions, one seed each, no control. Beside the generated pictures the true ones are judged (the ceiling), their
reconstructions by the autoencoder, and the true ones by the next scene's caption (the floor). `--lora tiny-few-steps
--sampler lcm --steps 4 --guidance 1` asks the same of the base in few steps. Pictures in the folder OUT are not made again.
One CPU core: 200 pictures in 12 steps, three minutes.
"""

import argparse
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zeroconv import ControlPipeline, StableDiffusion
from zeroconv.evaluation import reconstruct
from zeroconv.evaluation.prompt_check import check_prompts
from zeroconv.evaluation.prompt_findings import Finding, PromptCheck, share_found, share_in_colour
from zeroconv.images import write_png
from zeroconv.metrics.bootstrap import Interval, bootstrap
from zeroconv.metrics.sharpness import mean_gradient
from zeroconv.sheets import contact_sheet
from zeroconv.world import HELD_OUT_SEED, Picture, make

BATCH = 8
CASES = 4
"""As many best and worst cases are shown."""
CELL, WIDTH = 192, 32
"""Pixels of a cell, and characters of a line in one."""
Images = Sequence[Image.Image]
Checks = dict[str, list[PromptCheck]]


def generate(
    pictures: Sequence[Picture], base: StableDiffusion, folder: Path, steps: int, guidance: float, sampler: str
) -> list[Image.Image]:
    """The pictures of all captions, from `folder` where they are there; the scene's seed is the noise's."""
    pipe, made = ControlPipeline(base), list[Image.Image]()
    for first in range(0, len(pictures), BATCH):
        batch = pictures[first : first + BATCH]
        paths = [folder / f"{picture.seed}-{steps}-{guidance:g}.png" for picture in batch]
        if not all(path.exists() for path in paths):
            captions, seeds = [picture.caption for picture in batch], [picture.seed for picture in batch]
            request: dict[str, Any] = {"num_inference_steps": steps, "guidance_scale": guidance, "sampler": sampler}
            for image, path in zip(pipe(captions, seed=seeds, plain_prompt=True, **request).images, paths, strict=True):
                write_png(image, path)
        for path in paths:
            with Image.open(path) as image:
                made.append(image.convert("RGB"))
    return made


def sharpness(images: Images, beside: Images) -> Interval:
    """Mean gradient over that of other pictures."""
    columns = [[mean_gradient(np.asarray(image)) for image in those] for those in (images, beside)]
    return bootstrap(columns, lambda means: means[0].mean(-1) / means[1].mean(-1), seed=0)


def percent(share: Interval | None) -> str:
    """Per cent, with the interval."""
    return f"{share.value:.1%} [{100 * share.low:.1f}, {100 * share.high:.1f}]".replace("%", " %") if share else ""


def print_rows(checks: Checks, sharp: dict[str, Interval]) -> None:
    """All pictures of each row together."""
    print("| pictures | things found | in the colour said | of the found | surroundings found | as said | mean gradient |")
    print("|---" * 7 + "|")
    for name, row in checks.items():
        shares = [share_found(row), share_in_colour(row), share_in_colour(row, of_found=True)]
        shares += [share_found(row, surroundings=True), share_in_colour(row, surroundings=True)]
        gradient = f"{sharp[name].value:.2f} [{sharp[name].low:.2f}, {sharp[name].high:.2f}]" if name in sharp else ""
        print("|", name, "|", " | ".join(map(percent, shares)), "|", gradient, "|")


def print_breakdown(title: str, checks: Checks, key: Callable[[Finding], str | None]) -> None:
    """Things found and colours right, by a key of what was looked for, the most missed in the last row of pictures first."""
    counts = {name: tally(row, key) for name, row in checks.items()}
    last = list(counts.values())[-1]
    print(f"\n| {title} | named | " + " | ".join(f"{name}: found | in colour" for name in counts) + " |")
    print("|---" * (2 + 2 * len(counts)) + "|")
    order = sorted(last, key=lambda word: min(divide(last[word], "found", "named"), divide(last[word], "right", "said")))
    for word in order:
        cells = [f"{divide(c[word], *pair):.0%}" if c[word][pair[1]] else "" for c in counts.values() for pair in PAIRS]
        print(f"| {word} | {max(last[word]['named'], last[word]['said'])} | " + " | ".join(cells).replace("%", " %") + " |")


PAIRS = (("found", "named"), ("right", "said"))


def divide(counts: Counter[str], part: str, whole: str) -> float:
    """A share; 1 of nothing."""
    return counts[part] / counts[whole] if counts[whole] else 1.0


def tally(checks: Sequence[PromptCheck], key: Callable[[Finding], str | None]) -> dict[str, Counter[str]]:
    """What was named, found, said and right, by key."""
    counts: dict[str, Counter[str]] = {}
    for finding in (finding for check in checks for finding in check.findings):
        word = key(finding)
        if word is not None:
            one = counts.setdefault(word, Counter())
            one["named"] += not finding.mention.is_part
            one["found"] += finding.found and not finding.mention.is_part
            one["said"] += finding.in_colour is not None
            one["right"] += bool(finding.in_colour)
    return counts


def print_kinds(pictures: Sequence[Picture], checks: Checks) -> None:
    """By the kind of scene that a caption tells of."""
    print("\n| caption of | pictures | " + " | ".join(f"{name}: found | in colour" for name in checks) + " |")
    print("|---" * (2 + 2 * len(checks)) + "|")
    for kind in dict.fromkeys(sorted(picture.kind for picture in pictures)):
        chosen = [i for i, picture in enumerate(pictures) if picture.kind == kind]
        parts = [[row[i] for i in chosen] for row in checks.values()]
        shares = [measure(part) for part in parts for measure in (share_found, share_in_colour)]
        cells = " | ".join(f"{share.value:.0%}" if share else "" for share in shares).replace("%", " %")
        print(f"| {kind} | {len(chosen)} | {cells} |")


def obeyed(check: PromptCheck) -> float:
    """Share of all that one caption asks for: things there, colours right."""
    named, found, said, right = (a + b for a, b in zip(check.counts(), check.counts(True), strict=True))
    return (found + right) / max(named + said, 1)


def judgement(picture: Picture, check: PromptCheck) -> Image.Image:
    """The caption and what of it is missing, as a picture."""
    canvas = Image.new("RGB", (CELL, CELL), "white")
    missing = [one.mention.words for one in check.findings if not one.found]
    wrong = [one.mention.words for one in check.findings if one.found and one.in_colour is False]
    text = [*textwrap.wrap(picture.caption, WIDTH), "", *textwrap.wrap("missing: " + (", ".join(missing) or "nothing"), WIDTH)]
    text += ["", *textwrap.wrap("wrong colour: " + (", ".join(wrong) or "none"), WIDTH)]
    ImageDraw.Draw(canvas).multiline_text((8, 8), "\n".join(text), "black", ImageFont.load_default(11), spacing=3)
    return canvas


def draw_cases(pictures: Sequence[Picture], made: Images, checks: Sequence[PromptCheck]) -> Image.Image:
    """The worst cases at the left, the best at the right: the true picture, the generated one, what is missing."""
    order = sorted(range(len(pictures)), key=lambda i: obeyed(checks[i]))
    best = sorted(order, key=lambda i: (-obeyed(checks[i]), -len(checks[i].findings)))
    rows: list[list[Image.Image]] = []
    for pair in zip(order[:CASES], best[:CASES], strict=True):
        cells = [(Image.fromarray(pictures[i].rgb), made[i], judgement(pictures[i], checks[i])) for i in pair]
        rows.append([cell for case in cells for cell in case])
    heads = ("worst: the true scene", "generated from its caption", "judged")
    heads += ("best: the true scene", "generated from its caption", "judged")
    title = "The tiny base without control: worst and best of its prompts"
    return contact_sheet(rows, column_titles=heads, title=title, cell=CELL)


def main() -> None:
    """Render, generate, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--base", default="tiny")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--sampler", default="dpm++2m")
    parser.add_argument("--lora", help="added to the base; give it an OUT of its own")
    parser.add_argument("--first", type=int, default=HELD_OUT_SEED, help="seed of the first scene")
    parser.add_argument("--out", type=Path, default=Path("outputs/obedience"))
    args = parser.parse_args()
    base = StableDiffusion.from_pretrained(args.base)
    if args.lora is not None:
        base.add_lora(args.lora)
    pictures = [make(args.first + i) for i in range(args.count)]
    truth, captions = [Image.fromarray(picture.rgb) for picture in pictures], [picture.caption for picture in pictures]
    best = reconstruct(base, truth)
    made = generate(pictures, base, args.out, args.steps, args.guidance, args.sampler)
    images = {"true": truth, "reconstructed": best, "generated": made}
    checks = {name: check_prompts(captions, those) for name, those in images.items()}
    others = [*captions[1:], captions[0]]
    floor = {f"{name}, by the next caption": check_prompts(others, images[name]) for name in ("true", "generated")}
    print_rows({**checks, **floor}, {name: sharpness(those, best) for name, those in images.items()})
    print_kinds(pictures, checks)
    print_breakdown("thing", checks, lambda one: one.mention.noun)
    print_breakdown("colour", checks, lambda one: None if one.mention.is_surrounding else one.mention.colour)
    unread = Counter(word for check in checks["generated"] for word in check.unread)
    print("\nNot looked for:", ", ".join(f"{word} ({count})" for word, count in unread.most_common()))
    print(write_png(draw_cases(pictures, made, checks["generated"]), args.out / "obedience.png"))


if __name__ == "__main__":
    main()
