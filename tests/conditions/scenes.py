"""A few held-out scenes of the tiny world, rendered once for all proofs of conditions."""

from functools import cache

from PIL import Image

from zeroconv.data import truth
from zeroconv.world import HELD_OUT_SEED, Picture, make

COUNT = 6


@cache
def picture(index: int) -> Picture:
    """Held-out scene `index`, 128 x 128; three of the first six are of people."""
    return make(HELD_OUT_SEED + index, None if index % 2 else "person")


@cache
def rendering(index: int) -> Image.Image:
    """Its pixels."""
    return Image.fromarray(picture(index).rgb)


@cache
def true_map(index: int, condition: str) -> Image.Image:
    """Its exact map."""
    return truth(picture(index), condition)
