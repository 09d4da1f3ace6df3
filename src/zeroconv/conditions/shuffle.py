"""Content shuffle (ControlNet 1.1): a picture bent by a smooth random flow; its colours stay, its places do not."""

from collections.abc import Mapping

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import Condition, Contract
from zeroconv.conditions.map_checks import check_flat, check_sizes
from zeroconv.conditions.raster.resizing import LANCZOS
from zeroconv.errors import InputError
from zeroconv.images import as_rgb

__all__ = ["SHUFFLE", "WAVE", "colour_similarity", "flow_field", "lab_histogram", "random_flow", "shuffle"]

WAVE = 256  # pixels between two random numbers of the flow, in the published annotator
COUNTED = 512  # pixels a side that are counted at most
LONGEST = 32766  # pixels a side; OpenCV's remapping counts in 16 bits
CELLS = (9, 11, 11)  # of the histogram: L in 0 … 100, a and b in -100 … 100
# sRGB to XYZ (IEC 61966-2-1), each row divided by the white point D65
TO_XYZ = np.array([[0.433953, 0.376219, 0.189828], [0.212671, 0.715160, 0.072169], [0.017758, 0.109477, 0.872766]], np.float32)


def shuffle(image: Image.Image, seed: int = 0, wave: float | None = None) -> Image.Image:
    """A picture with its content shuffled: RGB, of the same size.

    Every pixel of the map is taken from another place of the picture, and places that are close stay close.

    Args:
        image: any picture of at most 32766 pixels a side.
        seed: 0 or more; the same seed bends every picture of a size in the same way.
        wave: pixels between two random numbers of the flow, 2 to 32766: the smaller, the smaller the pieces. None is
            256, or half of the shorter side of a picture that is smaller than 512.

    Raises:
        InputError: for a negative seed, a wave out of range or a picture that is too long.
    """
    import cv2

    width, height = image.size
    if not (seed >= 0 and seed % 1 == 0):
        raise InputError(f"shuffle seed is {seed}; expected a whole number, 0 or more", field="seed")
    if wave is not None and not 2 <= wave <= LONGEST:
        raise InputError(f"shuffle wave is {wave:g} pixels; expected 2 to {LONGEST} (256 is usual)", field="wave")
    if max(width, height) > LONGEST:
        raise InputError(f"the picture is {width}x{height} pixels; shuffle expects at most {LONGEST} a side", field="image")
    step = min(WAVE, max(2, min(width, height) // 2)) if wave is None else wave
    generator = np.random.default_rng(int(seed))
    x, y = (flow_field(width, height, step, generator) for _ in range(2))
    x *= width - 1
    y *= height - 1
    pixels = np.ascontiguousarray(as_rgb(image))
    return Image.fromarray(cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def flow_field(width: int, height: int, wave: float, generator: np.random.Generator) -> np.ndarray:
    """Smooth noise that just fills [0, 1]: (height, width) float32.

    Uniform random numbers lie on a grid `wave` pixels apart; between them is a cubic, and the whole is stretched.
    """
    columns, rows = int(np.ceil(width / wave)) + 2, int(np.ceil(height / wave)) + 2
    grid = Image.fromarray(generator.random((rows, columns), np.float32))
    box = (1.0, 1.0, 1 + width / wave, 1 + height / wave)  # a cell's breadth away from the border
    noise = np.array(grid.resize((width, height), Image.Resampling.BICUBIC, box=box), np.float32)
    low, high = float(noise.min()), float(noise.max())
    noise -= low
    noise /= high - low or 1
    return noise


def random_flow(generator: np.random.Generator) -> Mapping[str, int]:
    """Another flow for every training sample."""
    return {"seed": int(generator.integers(2**32))}


def to_lab(image: Image.Image) -> np.ndarray:
    """CIE L*a*b* (1976, white D65) of an sRGB picture: (H, W, 3) float32, L in 0 … 100, a and b around 0."""
    level = np.arange(256, dtype=np.float32) / 255
    linear = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92).astype(np.float32)
    xyz = linear[np.asarray(image.convert("RGB"))] @ TO_XYZ.T
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_histogram(image: Image.Image) -> np.ndarray:
    """How much of a picture has which colour: (9, 11, 11) over L, a, b; the sum is 1.

    A pixel is shared between the eight cells around its colour, so that a small change of colour is a small change here.
    Of a large picture every second, third … row and column is counted, at most 512 of each.
    """
    counted = (min(image.width, COUNTED), min(image.height, COUNTED))
    image = image.convert("RGB").resize(counted, Image.Resampling.NEAREST)
    last = np.array(CELLS, np.float32) - 1
    place = (to_lab(image).reshape(-1, 3) * (0.01, 0.005, 0.005) + (0, 0.5, 0.5)).clip(0, 1) * last
    below = np.minimum(place.astype(int), np.array(CELLS) - 2)
    above = place - below  # the share of the upper cell, in [0, 1]
    total = np.zeros(int(np.prod(CELLS)))
    for corner in np.ndindex(2, 2, 2):
        share = np.where(np.array(corner) == 1, above, 1 - above).prod(axis=1)
        cell = np.ravel_multi_index(tuple((below + corner).T), CELLS)
        total += np.bincount(cell, share, len(total))
    return (total / total.sum()).reshape(CELLS)


def colour_similarity(image: Image.Image, condition: Image.Image) -> float:
    """How much of a picture has the colours of its map, wherever they are: [0, 1].

    `1 - 1/2 sum |p - q|` of the two L*a*b* histograms, their overlap (M. J. Swain and D. H. Ballard, 1991). A flow
    enlarges some places and shrinks others, so a picture and its own shuffled map overlap by less than 1.

    Args:
        image: the generated picture.
        condition: the shuffled map it was given, of the same size.

    Raises:
        ValueError: when sizes differ.
    """
    check_sizes(image, condition)
    return float(np.minimum(lab_histogram(image), lab_histogram(condition)).sum().clip(0, 1))


SHUFFLE = Condition(
    name="shuffle",
    order=10,
    summary="a picture's colours and content, shuffled",
    contract=Contract(
        summary="RGB picture of the picture's size: its content bent by a random flow (ControlNet 1.1; residuals are pooled).",
        suits=("lllyasviel/control_v11e_sd15_shuffle",),
    ),
    extract=shuffle,
    score=colour_similarity,
    metric="colours met (overlap of Lab histograms)",
    draw_parameters=random_flow,
    check=check_flat,
    resizing=LANCZOS,
)  # fmt: skip
