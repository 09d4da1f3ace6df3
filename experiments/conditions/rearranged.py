"""Draw the pictures of the pages on shuffle, tile and inpaint: `python -m experiments.conditions.rearranged`."""

from pathlib import Path

from experiments.webp import write_webp
from PIL import Image

from zeroconv.conditions.inpaint import inpaint
from zeroconv.conditions.shuffle import shuffle
from zeroconv.conditions.tile import tile
from zeroconv.sheets import contact_sheet
from zeroconv.world import HELD_OUT_SEED, make

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "conditions"
CELL = 180


def scene(index: int, kind: str | None = None) -> Image.Image:
    """A held-out scene, 512 x 512."""
    return Image.fromarray(make(HELD_OUT_SEED + index, kind, 512).rgb)


def chequered(image: Image.Image) -> Image.Image:
    """An RGBA picture on a chequered ground, so that a hole is seen as a hole."""
    ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
    for x in range(0, image.width, 32):
        for y in range(x % 64, image.height, 64):
            ground.paste((205, 205, 205, 255), (x, y, x + 32, y + 32))
    return Image.alpha_composite(ground, image).convert("RGB")


def shuffle_picture() -> Image.Image:
    """Seeds and waves."""
    picture = scene(1)
    cells = [picture, shuffle(picture), shuffle(picture, seed=1), shuffle(picture, wave=128), shuffle(picture, wave=64)]
    return contact_sheet([cells], ["picture", "seed=0", "seed=1", "wave=128", "wave=64"], cell=CELL)


def tile_picture() -> Image.Image:
    """Factors."""
    picture = scene(2, "person")
    cells = [picture, *(tile(picture, factor) for factor in (4, 8, 16, 32))]
    return contact_sheet([cells], ["picture", "factor=4", "factor=8", "factor=16", "factor=32"], cell=CELL)


def inpaint_picture() -> Image.Image:
    """Holes."""
    picture = scene(1, "person")
    boxed = inpaint(picture, (160, 60, 380, 500))
    cells = [inpaint(picture), inpaint(picture, seed=1, share=0.5), inpaint(picture, method="box", seed=1), boxed]
    titles = ["picture", "strokes, seed=0", "seed=1 share=0.5", "method=box seed=1", "mask=(160, 60, 380, 500)"]
    return contact_sheet([[picture, *map(chequered, cells)]], titles, cell=CELL)


PICTURES = {"shuffle": shuffle_picture, "tile": tile_picture, "inpaint": inpaint_picture}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        print(write_webp(draw().quantize(192), FOLDER / f"{name}.webp"))
