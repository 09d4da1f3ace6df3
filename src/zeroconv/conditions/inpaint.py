"""Inpainting: a picture with a hole. The map is RGBA, transparent where the network is to paint (it reads -1 there)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from zeroconv.conditions.condition import Condition, Contract
from zeroconv.conditions.map_checks import check_sizes
from zeroconv.conditions.raster.resizing import Box, Resizing, Size
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.images import as_rgb, check_pixels
from zeroconv.messages import Message
from zeroconv.metrics.psnr import normalized_psnr

__all__ = ["INPAINT", "find_hole", "inpaint", "kept_psnr", "random_box", "random_hole", "random_strokes"]

OPAQUE = 128  # alpha from which on a pixel is kept
MOST = 0.9  # of a picture is a random hole
BEST = 50.0  # decibels: an error of 0.8 levels


def inpaint(
    image: Image.Image,
    mask: Image.Image | Sequence[float] | None = None,
    method: str = "strokes",
    share: float = 0.25,
    seed: int = 0,
) -> Image.Image:
    """A picture with a hole: RGBA (not RGB as other maps), of the same size; the hole is transparent and black.

    Args:
        image: any picture. If parts of it are transparent and no mask is given, these are the hole.
        mask: where the hole is: a picture of the same size, white (128 and more) = hole, or a box of four numbers:
            left, top, right, bottom in pixels, the last two just outside. None leaves it to `method`.
        method: "strokes" for random strokes of a broad pen, "box" for one random box; for a mask of None alone.
        share: of the picture that the random hole covers, above 0, at most 0.9: strokes at least, a box about.
        seed: 0 or more; the same seed makes the same hole in every picture of a size.

    Raises:
        InputError: for a mask of another size, a box outside the picture, or another value out of range.
    """
    if method not in METHODS:
        raise InputError(f"inpaint method is {method!r}; expected one of {', '.join(METHODS)}", field="method")
    if not 0 < share <= MOST:
        raise InputError(f"inpaint share is {share:g}; expected above 0 and at most {MOST:g} (0.25 is usual)", field="share")
    if not (seed >= 0 and seed % 1 == 0):
        raise InputError(f"inpaint seed is {seed}; expected a whole number, 0 or more", field="seed")
    own = find_hole(image)
    if mask is not None:
        hole = draw_hole(mask, image.size)
    elif own.any():
        hole = own
    else:
        hole = METHODS[method](image.size, share, np.random.default_rng(int(seed)))
    pixels = np.array(as_rgb(image).convert("RGBA"))  # CMYK has no way straight to RGBA
    pixels[hole] = 0  # what is not to be seen is not in the file
    return Image.fromarray(pixels)


def find_hole(condition: Image.Image) -> np.ndarray:
    """Where a map has its hole, (H, W) bool: where alpha is below one half."""
    return read_alpha(condition) < OPAQUE


def read_alpha(image: Image.Image) -> np.ndarray:
    """How opaque each pixel of a picture of any mode is: (H, W) uint8."""
    check_pixels(image)
    if not image.has_transparency_data:
        return np.full((image.height, image.width), 255, np.uint8)
    return np.asarray(image.convert("RGBA").getchannel("A"))


def draw_hole(mask: Image.Image | Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The hole that a mask or a box describes, (H, W) bool."""
    if isinstance(mask, Image.Image):
        if mask.size != size:
            raise InputError(f"the picture is {size}, its mask {mask.size}; expected the same size", field="mask")
        return np.asarray(mask.convert("L")) >= 128
    try:
        box = [round(float(number)) for number in mask]
    except (TypeError, ValueError, OverflowError):  # no numbers, or not finite
        box = []
    if len(box) != 4 or not (0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]):
        raise InputError(
            f"the box is {tuple(mask)}; expected left, top, right, bottom inside {size[0]}x{size[1]} pixels", field="mask"
        )
    hole = np.zeros((size[1], size[0]), bool)
    hole[box[1] : box[3], box[0] : box[2]] = True
    return hole


def random_strokes(size: tuple[int, int], share: float, generator: np.random.Generator) -> np.ndarray:
    """A hole of broad, winding strokes that covers at least `share` of a picture: (H, W) bool.

    A free-form mask (J. Yu et al., 2019): each stroke is a line of 4 to 12 pieces that turns a little at every joint.
    """
    width, height = size
    canvas, side = Image.new("1", size), (width * height) ** 0.5
    pen = ImageDraw.Draw(canvas)
    while np.asarray(canvas).mean() < share:
        place, angle = generator.random(2) * size, float(generator.uniform(0, 2 * np.pi))
        radius = side * float(generator.uniform(0.025, 0.1))
        pen.circle(tuple(place), radius, 1)
        for _ in range(int(generator.integers(4, 13))):
            ahead = side * float(generator.uniform(0.05, 0.25)) * np.array([np.cos(angle), np.sin(angle)])
            end = size - np.abs((place + ahead) % np.multiply(2, size) - size)  # thrown back by the border
            pen.line((*place, *end), 1, max(1, round(2 * radius)))
            pen.circle(tuple(end), radius, 1)
            angle = float(np.arctan2(*(end - place)[::-1])) + float(generator.uniform(-1, 1))
            place = end
    return np.array(canvas)


def random_box(size: tuple[int, int], share: float, generator: np.random.Generator) -> np.ndarray:
    """A hole that is one box of about `share` of a picture, up to twice as long as broad: (H, W) bool."""
    width, height = size
    aspect = 2.0 ** float(generator.uniform(-1, 1))
    broad = min(1.0, max(share, (share * aspect) ** 0.5))  # of the width; neither side can exceed its own
    across, down = max(1, round(broad * width)), max(1, round(share / broad * height))
    left, top = int(generator.integers(width - across + 1)), int(generator.integers(height - down + 1))
    hole = np.zeros((height, width), bool)
    hole[top : top + down, left : left + across] = True
    return hole


METHODS: dict[str, Callable[[tuple[int, int], float, np.random.Generator], np.ndarray]] = {
    "strokes": random_strokes,
    "box": random_box,
}


def random_hole(generator: np.random.Generator) -> Mapping[str, Any]:
    """A hole for one training sample: strokes or, one time in four, a box, over 5 to 60 % of the picture."""
    method = "box" if generator.random() < 0.25 else "strokes"
    return {"method": method, "share": float(generator.uniform(0.05, 0.6)), "seed": int(generator.integers(2**32))}


def kept_psnr(image: Image.Image, condition: Image.Image) -> float:
    """How exactly a picture keeps what it was to keep: [0, 1].

    The peak signal-to-noise ratio outside the hole, 10 to 50 dB as 0 to 1. What is in the hole does not count.

    Args:
        image: the generated picture.
        condition: the RGBA map it was given, of the same size.

    Raises:
        NothingAskedError: when the hole is everything.
        InputError: when the map has no transparency.
        ValueError: when sizes differ.
    """
    check_sizes(image, condition)
    if not condition.has_transparency_data:
        said = f"an inpainting map is of mode {condition.mode}; expected RGBA, its transparent pixels the hole"
        raise InputError(said, field="condition")
    kept = ~find_hole(condition)
    if not kept.any():
        raise NothingAskedError("this inpainting map is all hole: nothing is to be kept", field="condition")
    pixels = [np.asarray(picture.convert("RGB"))[kept] for picture in (image, condition)]
    return normalized_psnr(*pixels, best=BEST)


def resample_kept(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Kept pixels are mixed with kept pixels alone, by a cubic; the hole has a hard edge."""
    pixels = np.asarray(image, np.float32)
    kept = (pixels[..., 3:] >= OPAQUE).astype(np.float32)  # (H, W, 1)
    weighted = np.concatenate([pixels[..., :3] * kept, kept], axis=-1)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(weighted, -1, 0)]
    *colours, share = (np.asarray(plane.resize(size, Image.Resampling.BICUBIC, box=box)) for plane in planes)
    fitted = np.stack([*(colour / share.clip(0.5) for colour in colours), np.full_like(share, 255)], axis=-1)
    fitted[share < 0.5] = 0
    return Image.fromarray(fitted.round().clip(0, 255).astype(np.uint8))


def check(condition: Image.Image) -> list[Message]:
    """Warnings for an inpainting map: no hole, nothing but a hole, a soft edge."""
    if not condition.has_transparency_data:
        return [
            Message(
                f"this map is {condition.mode} and has no hole, expected RGBA with transparent pixels where to paint",
                "map.no-alpha",
            )
        ]
    alpha = read_alpha(condition)
    hole = float((alpha < OPAQUE).mean())
    if hole == 0:
        return [Message("this map has no hole: no pixel is transparent, so there is nothing to paint", "map.no-hole")]
    if hole > MOST:
        return [
            Message(
                f"is the mask of this map inverted? {hole:.0%} of it are a hole; what is to be kept must be opaque",
                "map.inverted",
            )
        ]
    soft = float(((alpha > 0) & (alpha < 255)).mean())
    if soft > 0.05:
        return [
            Message(
                f"{soft:.0%} of this map are half transparent: below one half is the hole, the rest is kept whole",
                "map.soft-hole",
            )
        ]
    return []


INPAINT = Condition(
    name="inpaint",
    order=12,
    summary="a picture with a hole",
    contract=Contract(
        summary="RGBA picture of the picture's size: transparent pixels (alpha below 128) are the hole, -1 for the network.",
        mode="RGBA",
        polarity="transparent = hole, opaque = kept",
        channels="red, green, blue, alpha; the network reads the first three, and -1 in the hole",
        suits=("lllyasviel/control_v11p_sd15_inpaint",),
    ),
    extract=inpaint,
    score=kept_psnr,
    metric="kept pixels (PSNR of 10 to 50 dB)",
    draw_parameters=random_hole,
    check=check,
    resizing=Resizing(resample_kept, background=(0, 0, 0, 0)),
    needs_mask=True,
)  # fmt: skip
