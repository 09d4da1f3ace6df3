"""Draw every condition of one scene on one sheet: `python -m experiments.conditions.overview` writes it."""

from pathlib import Path

from experiments.webp import write_webp
from PIL import Image

from zeroconv.conditions import extract, names
from zeroconv.sheets import PAPER, contact_sheet
from zeroconv.world import HELD_OUT_SEED, make

SEED, KIND, SIZE = HELD_OUT_SEED + 46, "person", 512
COLUMNS, CELL = 7, 192
MARGIN = CELL // 8  # below the pictures of a sheet
OUT = Path(__file__).parents[2] / "docs" / "images" / "conditions.webp"


def draw() -> Image.Image:
    """The picture and its twelve maps, each under its name; the hole of inpainting is white."""
    picture = Image.fromarray(make(SEED, KIND, SIZE).rgb)
    tiles = {"picture": picture} | {name: extract(name, picture) for name in names()}
    tiles["inpaint"] = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), tiles["inpaint"])
    titles = list(tiles)
    rows = [titles[first : first + COLUMNS] for first in range(0, len(titles), COLUMNS)]
    parts = [contact_sheet([[tiles[name] for name in row]], row, cell=CELL) for row in rows]
    step = parts[0].height - MARGIN
    sheet = Image.new("RGB", (parts[0].width, step * len(parts) + MARGIN), PAPER)
    for index, part in enumerate(parts):
        sheet.paste(part, (0, index * step))
    return sheet


if __name__ == "__main__":
    print(write_webp(draw(), OUT))
