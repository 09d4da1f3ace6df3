"""Pictures from a picture: variations, a part painted anew along its edges, and enlarged tile by tile.

    python examples/from_pictures.py [--sheet docs/images/from-pictures.webp] [--out outputs/from-pictures]

Hardware: one CPU core. Time: about two minutes. Expected: eight PNGs that carry their settings, and a sheet: the more strength
the further from the picture, every pixel outside the mask as it was, and no border of a tile to be seen.
"""

import argparse
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion
from zeroconv.conditions import extract
from zeroconv.generation import Output, save_images
from zeroconv.generation.upscaling import enlarged_size
from zeroconv.images import resize
from zeroconv.sheets import contact_sheet, overlay
from zeroconv.world import HELD_OUT_SEED, make

PROMPT = "a red house with a white roof on snow, an evening sky"
HOUSE = 26, 20, 100, 108
"""Where the house stands: left, top, right, bottom in pixels."""


def soft_mask(size: tuple[int, int]) -> Image.Image:
    """White on the house; at its blurred rim both pictures are mixed, so that it does not show."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rounded_rectangle(HOUSE, 12, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(3))


def main() -> None:
    """Make one picture, and the others from it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--factors", type=int, nargs="+", default=[2, 4], help="of enlargement")
    parser.add_argument("--out", type=Path, default=Path("outputs/from-pictures"))
    parser.add_argument("--sheet", type=Path, help="a WebP; beside the pictures if left out")
    args = parser.parse_args()

    base, canny = StableDiffusion.from_pretrained("tiny"), ControlNet.from_pretrained("tiny-canny")
    paint = partial(
        ControlPipeline(base), num_inference_steps=args.steps, guidance_scale=4.0, weighting="condition-only", seed=7
    )  # fmt: skip

    def keep(output: Output, *controls: Control) -> Image.Image:
        """Write a picture, and show it."""
        print(save_images(output, controls, args.out, base).pictures[0])
        return output.images[0]

    scene = Image.fromarray(make(HELD_OUT_SEED + 1, kind="house").rgb)
    edges = Control(canny, extract("canny", scene))
    picture = keep(paint(PROMPT, [edges]), edges)

    other = "a blue house with a white roof on green grass, a sunny day"
    strengths = (0.3, 0.5, 0.7)
    varied = [keep(paint(other, init_image=picture, strength=strength)) for strength in strengths]

    mask, along = soft_mask(picture.size), Control(canny, extract("canny", picture))
    again = partial(paint, init_image=picture, mask_image=mask, strength=0.9)
    painted = [keep(again(PROMPT.replace("red", colour), [along]), along) for colour in ("blue", "green")]

    large: list[Image.Image] = []
    for factor in args.factors:
        size = enlarged_size(picture.size, factor)
        lines = Control(canny, extract("canny", resize(picture, size)))
        tiled = partial(paint, init_image=picture, size=size, strength=0.25, tile=128, guidance_scale=1.0)
        large.append(keep(tiled("", [lines]), lines))  # no prompt: each tile would paint all of it
    edges_over = overlay(picture, along.condition_map(0))
    rows = [[picture, *varied], [edges_over, mask, *painted], [resize(picture, large[-1].size), *large]]
    titles = [
        "a picture, and from it by strength 0.3, 0.5, 0.7",
        "edges, mask, painted anew twice",
        "by Lanczos, by tiles x2, x4",
    ]
    sheet = args.sheet or args.out / "sheet.webp"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, row_titles=titles, cell=256).save(sheet, quality=80)
    print(sheet)


if __name__ == "__main__":
    main()
