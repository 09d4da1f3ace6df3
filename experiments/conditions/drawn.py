"""Draw the pictures of the pages on canny, scribble, lines and lineart: `python -m experiments.conditions.drawn`."""

from pathlib import Path

import numpy as np
from experiments.webp import write_webp
from PIL import Image, ImageDraw

from zeroconv.conditions.canny import canny
from zeroconv.conditions.lineart import lineart
from zeroconv.conditions.lines import lines
from zeroconv.conditions.scribble import scribble
from zeroconv.world import make

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "conditions"
SIDE = 320


def scene(seed: int) -> Image.Image:
    """A scene of the tiny world at 512 x 512."""
    return Image.fromarray(make(seed, size=512).rgb)


def photographed_drawing() -> Image.Image:
    """A drawing on grey paper with a shadow across it."""
    image = Image.new("RGB", (512, 512), (240, 236, 226))
    pen = ImageDraw.Draw(image)
    pen.ellipse((90, 60, 290, 260), outline=(40, 40, 90), width=5)
    pen.line((60, 430, 250, 300, 330, 380, 470, 250), fill=(50, 50, 50), width=4, joint="curve")
    pen.rectangle((330, 90, 450, 200), outline=(200, 60, 60), width=5)
    rows, columns = np.mgrid[:512, :512] / 512
    shade = (0.45 + 0.55 * columns) * np.where(rows + columns < 0.8, 0.7, 1)
    noisy = np.asarray(image) * shade[..., None] + np.random.default_rng(0).normal(0, 3, (512, 512, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def row(*images: Image.Image) -> Image.Image:
    """Pictures side by side, in 64 colours."""
    sheet = Image.new("RGB", (len(images) * (SIDE + 4) - 4, SIDE), "white")
    for index, image in enumerate(images):
        sheet.paste(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (index * (SIDE + 4), 0))
    return sheet.quantize(64, dither=Image.Dither.NONE)


def pictures() -> dict[str, Image.Image]:
    """By file name."""
    house, room, drawing = scene(9), scene(8), photographed_drawing()
    return {
        "canny": row(house, canny(house), canny(house, 50, 100), canny(house, 200, 400), canny(room)),
        "scribble": row(house, scribble(house), scribble(house, "xdog"), drawing, scribble(drawing, "drawing")),
        "lines": row(room, lines(room), lines(room, min_length=0.15), house, lines(house)),
        "lineart": row(house, lineart(house), lineart(house, coarse=True), scene(14), lineart(scene(14))),
    }


if __name__ == "__main__":
    for name, image in pictures().items():
        print(write_webp(image, FOLDER / f"{name}.webp"))
