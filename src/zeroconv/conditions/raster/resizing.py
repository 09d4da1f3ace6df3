"""A map made to fit another size without ceasing to be a map: palettes stay palettes, one-pixel lines stay lines."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zeroconv.conditions.raster.morphology import as_map, strokes_of, thin
from zeroconv.images import check_pixels

__all__ = ["MODES", "fit_map"]

MODES = ("crop", "stretch", "fill")
Size = tuple[int, int]
Box = tuple[float, float, float, float]
Resample = Callable[[Image.Image, Size, Box], Image.Image]
"""The part `box` (left, top, right, bottom in pixels) of a map, at another size."""

BLACK = (0, 0, 0)
FACING = (128, 128, 255)  # a normal map's colour for no surface, as in `normal_map`
NOTHING = (0, 0, 0, 0)


def fit_map(image: Image.Image, size: Size, condition: str, mode: str = "crop") -> Image.Image:
    """A map of another size, as the condition needs it.

    | condition | how |
    |---|---|
    | canny, lines | the lines are drawn anew, one pixel wide, connected as before; none is lost, none is doubled |
    | scribble | areas, and the centre lines of strokes too thin for areas; white on black without greys |
    | segmentation, pose | the nearest pixel: no colour that was not there |
    | soft-edge, lineart, depth | linear; no value beyond those that were there |
    | normal | linear, then unit length again |
    | inpaint | cubic among kept pixels alone, with a hard edge at the hole |
    | shuffle, tile | Lanczos, as pictures |

    Args:
        image: the map, RGB (RGBA for inpaint). A map of the right size is returned as it is, as a copy.
        size: width and height in pixels.
        condition: the condition's name, as in `zeroconv.conditions.NAMES`.
        mode: "crop" cuts the largest centred part of the right shape; "stretch" ignores the shape; "fill" shows the
            whole map, centred, with nothing around it: black, for normals the colour that faces the camera, for
            inpaint a hole, for pictures their outermost pixels repeated.

    Raises:
        ValueError: for an unknown condition or mode, or a size or map under 1 pixel.
    """
    check_fit(size, condition, mode)
    check_pixels(image)
    fit = FITS[condition]
    picture = image.convert("RGBA" if fit.background == NOTHING else "RGB")
    if image.size == size:
        return picture.copy()
    if mode != "fill":
        return fit.resample(picture, size, centred_box(image.size, size) if mode == "crop" else (0, 0, *image.size))
    inner = inner_size(image.size, size)
    shown = picture.copy() if inner == image.size else fit.resample(picture, inner, (0, 0, *image.size))
    return surrounded(shown, size, fit.background)


def check_fit(size: Size, condition: str, mode: str) -> None:
    """Refuse an unknown condition or mode, and a size under 1 pixel."""
    if condition not in FITS:
        raise ValueError(f"maps of {condition!r} cannot be fitted; expected one of {', '.join(FITS)}")
    if mode not in MODES:
        raise ValueError(f"got the resize mode {mode!r}; expected one of {', '.join(MODES)}")
    if min(size) < 1:
        raise ValueError(f"expected a size of at least 1 x 1 pixels, got {size[0]} x {size[1]}")


def inner_size(size: Size, frame: Size) -> Size:
    """The largest size of the same shape that a frame holds, in whole pixels, at least 1."""
    scale = min(frame[0] / size[0], frame[1] / size[1])
    return min(frame[0], max(1, round(size[0] * scale))), min(frame[1], max(1, round(size[1] * scale)))


def centred_box(size: Size, target: Size) -> Box:
    """The largest centred part with the shape of `target`."""
    scale = max(target[0] / size[0], target[1] / size[1])
    width, height = min(size[0], target[0] / scale), min(size[1], target[1] / scale)
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def surrounded(image: Image.Image, size: Size, background: tuple[int, ...] | None) -> Image.Image:
    """A picture in the middle of a larger one; without a background its outermost pixels are repeated."""
    left, top = (size[0] - image.width) // 2, (size[1] - image.height) // 2
    if background is None:
        rows = (np.arange(size[1]) - top).clip(0, image.height - 1)
        columns = (np.arange(size[0]) - left).clip(0, image.width - 1)
        return Image.fromarray(np.asarray(image)[rows][:, columns])
    canvas = Image.new(image.mode, size, background)
    canvas.paste(image, (left, top))
    return canvas


def nearest(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Pixels that were there before."""
    return image.resize(size, Image.Resampling.NEAREST, box=box)


def smooth(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Means, weighted linearly; nothing overshoots."""
    return image.resize(size, Image.Resampling.BILINEAR, box=box)


def pictorial(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """As pictures are resized."""
    return image.resize(size, Image.Resampling.LANCZOS, box=box)


def normals(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Means of normals have less than unit length; the direction is kept and the length put right."""
    vectors = np.asarray(smooth(image, size, box), np.float32) / 127.5 - 1  # (H, W, 3)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit = np.where(length > 0.1, vectors / np.maximum(length, 0.1), np.array([0, 0, 1], np.float32))
    return Image.fromarray(((unit * 0.5 + 0.5) * 255).round().clip(0, 255).astype(np.uint8))


def holed(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Kept pixels are mixed with kept pixels alone; the hole has a hard edge."""
    pixels = np.asarray(image, np.float32)
    kept = (pixels[..., 3:] >= 128).astype(np.float32)  # (H, W, 1)
    weighted = np.concatenate([pixels[..., :3] * kept, kept], axis=-1)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(weighted, -1, 0)]
    *colours, share = (np.asarray(plane.resize(size, Image.Resampling.BICUBIC, box=box)) for plane in planes)
    fitted = np.stack([*(colour / share.clip(0.5) for colour in colours), np.full_like(share, 255)], axis=-1)
    fitted[share < 0.5] = 0
    return Image.fromarray(fitted.round().clip(0, 255).astype(np.uint8))


def lines(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """One-pixel lines drawn anew."""
    return as_map(redrawn(strokes_of(image), size, box))


def redrawn(strokes: np.ndarray, size: Size, box: Box) -> np.ndarray:
    """The centre lines of strokes at another size, one pixel wide: (height, width) bool.

    Every pixel of a line is put where its centre comes to lie, with a straight line to each of its neighbours, so that
    lines stay connected when enlarged. What then lies side by side is thinned, so that none is doubled when reduced.
    """
    centre = thin(strokes)
    scale = np.array([size[1] / (box[3] - box[1]), size[0] / (box[2] - box[0])])  # rows, columns
    corner = np.array([box[1], box[0]])
    drawn = np.zeros((size[1], size[0]), bool)
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1), (1, -1)):
        places = np.argwhere(joined(centre, down, across))  # (N, 2)
        step = np.array([down, across])
        pieces = int(np.ceil(np.abs(step * scale).max())) if step.any() else 1
        for i in range(pieces):
            reached = np.floor((places + 0.5 + step * (i / pieces) - corner) * scale).astype(int)
            inside = ((reached >= 0) & (reached < drawn.shape)).all(axis=1)
            drawn[tuple(reached[inside].T)] = True
    return thin(drawn)


def joined(lines: np.ndarray, down: int, across: int) -> np.ndarray:
    """Pixels of one-pixel lines that are joined to the neighbour `down` and `across` from them: (H, W) bool.

    A diagonal neighbour is joined only where there is no way round the corner, which would be a second line.
    """
    height, width = lines.shape
    ringed = np.pad(lines, 1)

    def shifted(y: int, x: int) -> np.ndarray:
        return ringed[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    both = lines & shifted(down, across)
    return both & ~shifted(down, 0) & ~shifted(0, across) if down and across else both


def drawing(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Strokes of any width: broad ones as areas, thin ones as lines."""
    white = strokes_of(image)
    areas = Image.fromarray(white.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR, box=box)
    return as_map((np.asarray(areas) > 127) | redrawn(white, size, box))


@dataclass(frozen=True)
class Fit:
    """How maps of a condition are resized, and what is around them when they do not fill the frame.

    Attributes:
        resample: gives a part of a map at another size.
        background: a colour; None repeats the outermost pixels.
    """

    resample: Resample
    background: tuple[int, ...] | None = BLACK


FITS = {
    "canny": Fit(lines),
    "soft-edge": Fit(smooth),
    "scribble": Fit(drawing),
    "lines": Fit(lines),
    "pose": Fit(nearest),
    "segmentation": Fit(nearest),
    "depth": Fit(smooth),
    "normal": Fit(normals, FACING),
    "lineart": Fit(smooth),
    "shuffle": Fit(pictorial, None),
    "tile": Fit(pictorial, None),
    "inpaint": Fit(holed, NOTHING),
}
