"""At which resolution a picture is given to an extractor: its own, one of the caller's choice, or in tiles."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from zeroconv.errors import InputError
from zeroconv.images import MAX_PIXELS

__all__ = ["check_tile", "detection_size", "resize_for_detection", "tiles"]

SMALLEST = 64  # pixels a side of a network's tile
LONGEST = 8  # times the resolution: a strip one pixel high is not blown up to millions


def detection_size(size: tuple[int, int], resolution: int | None = None) -> tuple[int, int]:
    """The size at which to look at a picture.

    Args:
        size: of the picture, width and height in pixels.
        resolution: pixels of the shorter side, 1 or more; the shape is kept, to half a pixel. None is pixel-perfect:
            the picture's own size, so that map and picture meet pixel by pixel.

    Returns:
        Width and height, at least 1 each; the longer side at most 8 times the resolution or as it was.

    Raises:
        InputError: for a resolution under 1, or one that makes more than 32 megapixels.
    """
    if resolution is None:
        return size
    if resolution < 1:
        raise InputError(
            f"the detection resolution is {resolution}; expected 1 pixel or more (512 is usual)", field="resolution"
        )
    scale = min(resolution / min(size), max(1.0, LONGEST * resolution / max(size)))
    width, height = (max(1, round(side * scale)) for side in size)
    if width * height > max(MAX_PIXELS, size[0] * size[1]):
        raise InputError(
            f"a detection resolution of {resolution:g} makes {width * height / 1e6:.3g} megapixels of this picture; "
            f"expected at most {MAX_PIXELS // 1_000_000}",
            field="resolution",
        )
    return width, height


def resize_for_detection(image: Image.Image, resolution: int | None = None) -> Image.Image:
    """A picture at its `detection_size`."""
    size = detection_size(image.size, resolution)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def tiles(size: tuple[int, int], limit: int, overlap: int, blend: bool) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Where the tiles of a picture lie, as rows and columns, and the weight of each of their pixels, (h, w) float32.

    The weights of a pixel sum to 1.

    Args:
        size: of the picture, width and height in pixels.
        limit: longest side of a tile in pixels.
        overlap: pixels that neighbours share at least, less than `limit`.
        blend: False cuts in the middle of the overlap, each weight is 0 or 1: for palettes and lines. True lets one tile
            fade into the next: for depth, whose tiles differ in level.
    """
    assert 0 <= overlap < limit, "tiles advance"
    for rows, y in tile_spans(size[1], limit, overlap, blend):
        for columns, x in tile_spans(size[0], limit, overlap, blend):
            yield (rows, columns), np.multiply.outer(y, x)


def check_tile(tile: int | None) -> None:
    """Refuse tiles of a network that are too small to see anything."""
    if tile is not None and not (tile >= SMALLEST and tile % 1 == 0):
        raise InputError(f"tiles have {tile} pixels; expected a whole number, {SMALLEST} or more (1024 is usual)", field="tile")


def tile_spans(side: int, limit: int, overlap: int, blend: bool) -> list[tuple[slice, np.ndarray]]:
    """The tiles along one side: where each lies, and the weight of each of its pixels; weights of a pixel sum to 1."""
    length = min(side, limit)
    count = 1 if side <= limit else int(np.ceil((side - overlap) / (limit - overlap)))
    starts = np.linspace(0, side - length, count).round().astype(int)
    place = np.arange(side)
    heights: list[np.ndarray] = []
    for i, start in enumerate(starts):
        height = ((place >= start) & (place < start + length)).astype(np.float32)
        for other, rises in ((i - 1, True), (i + 1, False)):
            if 0 <= other < count:
                first, last = max(start, starts[other]), min(start, starts[other]) + length  # they share [first, last)
                ramp = (place + 0.5 - first) / max(1, last - first) if blend else (place >= (first + last) // 2).astype(float)
                height *= (ramp if rises else 1 - ramp).clip(0, 1)
        heights.append(height)
    summed = np.sum(heights, axis=0)
    return [(slice(s, s + length), (h / summed)[s : s + length]) for s, h in zip(starts.tolist(), heights, strict=True)]
