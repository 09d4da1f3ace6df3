"""A map made to fit another size without ceasing to be a map: palettes stay palettes, one-pixel lines stay lines."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zeroconv.conditions.raster.morphology import read_strokes, thin, to_map
from zeroconv.errors import InputError
from zeroconv.images import check_pixels

__all__ = [
    "LANCZOS",
    "LINEAR",
    "MODES",
    "NEAREST",
    "STROKES",
    "THIN_LINES",
    "Box",
    "Resizing",
    "Size",
    "check_size",
    "inner_size",
    "move_lines",
    "resample_linear",
    "resize_map",
]

MODES = ("crop", "stretch", "fill")
Size = tuple[int, int]
Box = tuple[float, float, float, float]
Resample = Callable[[Image.Image, Size, Box], Image.Image]
"""The part `box` (left, top, right, bottom in pixels) of a map, at another size."""

BLACK = (0, 0, 0)


@dataclass(frozen=True)
class Resizing:
    """How maps of a condition are resized, and what surrounds them when they do not fill the frame.

    Attributes:
        resample: `resample(image, size, box)`: a part of a map at another size.
        background: a colour, RGB or RGBA; None repeats the outermost pixels.
    """

    resample: Resample
    background: tuple[int, ...] | None = BLACK


def resize_map(image: Image.Image, size: Size, resizing: Resizing, mode: str = "crop") -> Image.Image:
    """A map of another size.

    Args:
        image: the map, RGB or RGBA. A map of the right size is returned as it is, as a copy.
        size: width and height in pixels.
        resizing: of the condition.
        mode: "crop" cuts the largest centred part of the right shape; "stretch" ignores the shape; "fill" shows the
            whole map, centred, surrounded by the background.

    Raises:
        InputError: for an unknown mode, or a size under 1 pixel.
        ValueError: for a map under 1 pixel.
    """
    check_size(size, mode)
    check_pixels(image)
    background = resizing.background
    picture = image.convert("RGBA" if background is not None and len(background) == 4 else "RGB")
    if image.size == size:
        return picture.copy()
    if mode != "fill":
        return resizing.resample(picture, size, centred_box(image.size, size) if mode == "crop" else (0, 0, *image.size))
    inner = inner_size(image.size, size)
    shown = picture.copy() if inner == image.size else resizing.resample(picture, inner, (0, 0, *image.size))
    return surround(shown, size, background)


def check_size(size: Size, mode: str) -> None:
    """Refuse an unknown mode, and a size under 1 pixel."""
    if mode not in MODES:
        raise InputError(f"got the resize mode {mode!r}; expected one of {', '.join(MODES)}", field="resize")
    if min(size) < 1:
        raise InputError(f"expected a size of at least 1 x 1 pixels, got {size[0]} x {size[1]}", field="size")


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


def surround(image: Image.Image, size: Size, background: tuple[int, ...] | None) -> Image.Image:
    """A picture in the middle of a larger one; without a background its outermost pixels are repeated."""
    left, top = (size[0] - image.width) // 2, (size[1] - image.height) // 2
    if background is None:
        rows = (np.arange(size[1]) - top).clip(0, image.height - 1)
        columns = (np.arange(size[0]) - left).clip(0, image.width - 1)
        return Image.fromarray(np.asarray(image)[rows][:, columns])
    canvas = Image.new(image.mode, size, background)
    canvas.paste(image, (left, top))
    return canvas


def resample_nearest(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Pixels that were there before."""
    return image.resize(size, Image.Resampling.NEAREST, box=box)


def resample_linear(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Means, weighted linearly; nothing overshoots."""
    return image.resize(size, Image.Resampling.BILINEAR, box=box)


def resample_lanczos(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """As pictures are resized."""
    return image.resize(size, Image.Resampling.LANCZOS, box=box)


def redraw_lines(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """One-pixel lines drawn anew."""
    return to_map(move_lines(read_strokes(image), size, box))


def move_lines(strokes: np.ndarray, size: Size, box: Box) -> np.ndarray:
    """The centre lines of strokes at another size, one pixel wide: (height, width) bool.

    Every pixel of a line is put where its centre comes to lie, with a straight line to each of its neighbours, so that
    lines stay connected when enlarged. What then lies side by side is thinned, so that none is doubled when reduced.
    """
    centre = thin(strokes)
    scale = np.array([size[1] / (box[3] - box[1]), size[0] / (box[2] - box[0])])  # rows, columns
    corner = np.array([box[1], box[0]])
    drawn = np.zeros((size[1], size[0]), bool)
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1), (1, -1)):
        places = np.argwhere(links(centre, down, across))  # (N, 2)
        step = np.array([down, across])
        pieces = int(np.ceil(np.abs(step * scale).max())) if step.any() else 1
        for i in range(pieces):
            reached = np.floor((places + 0.5 + step * (i / pieces) - corner) * scale).astype(int)
            inside = ((reached >= 0) & (reached < drawn.shape)).all(axis=1)
            drawn[tuple(reached[inside].T)] = True
    return thin(drawn)


def links(lines: np.ndarray, down: int, across: int) -> np.ndarray:
    """Pixels of one-pixel lines that are joined to the neighbour `down` and `across` from them: (H, W) bool.

    A diagonal neighbour is joined only where there is no way round the corner, which would be a second line.
    """
    height, width = lines.shape
    ringed = np.pad(lines, 1)

    def shift(y: int, x: int) -> np.ndarray:
        return ringed[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    both = lines & shift(down, across)
    return both & ~shift(down, 0) & ~shift(0, across) if down and across else both


def redraw_strokes(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Strokes of any width: broad ones as areas, thin ones as lines."""
    white = read_strokes(image)
    areas = Image.fromarray(white.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR, box=box)
    return to_map((np.asarray(areas) > 127) | move_lines(white, size, box))


NEAREST = Resizing(resample_nearest)
"""No colour that was not there: palettes."""
LINEAR = Resizing(resample_linear)
"""No value beyond those that were there: grey levels."""
LANCZOS = Resizing(resample_lanczos, None)
"""As pictures; beyond the border the outermost pixels are repeated."""
THIN_LINES = Resizing(redraw_lines)
"""Lines drawn anew, one pixel wide, connected as before; none is lost, none is doubled."""
STROKES = Resizing(redraw_strokes)
"""Areas, and the centre lines of strokes too thin for areas; white on black without greys."""
