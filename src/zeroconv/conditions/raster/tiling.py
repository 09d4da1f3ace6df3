"""At which resolution a condition is looked for: pixel-perfect, at one of the caller's choice, or in tiles."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from zeroconv.conditions.raster.resizing import check_fit, fit_map, inner_size
from zeroconv.images import MAX_PIXELS, fit, resize

__all__ = ["at_resolution", "at_size", "check_tile", "detection_size", "seen_at", "tiled", "tiles"]

SMALLEST = 64  # pixels a side of a network's tile
LONGEST = 8  # times the resolution: a strip one pixel high is not blown up to millions
Extract = Callable[[Image.Image], Image.Image]


def detection_size(size: tuple[int, int], resolution: int | None = None) -> tuple[int, int]:
    """The size at which to look at a picture.

    Args:
        size: of the picture, width and height in pixels.
        resolution: pixels of the shorter side, 1 or more; the shape is kept, to half a pixel. None is pixel-perfect:
            the picture's own size, so that map and picture meet pixel by pixel.

    Returns:
        Width and height, at least 1 each; the longer side at most 8 times the resolution or as it was.

    Raises:
        ValueError: for a resolution under 1, or one that makes more than 32 megapixels.
    """
    if resolution is None:
        return size
    if resolution < 1:
        raise ValueError(f"the detection resolution is {resolution}; expected 1 pixel or more (512 is usual)")
    scale = min(resolution / min(size), max(1.0, LONGEST * resolution / max(size)))
    width, height = (max(1, round(side * scale)) for side in size)
    if width * height > max(MAX_PIXELS, size[0] * size[1]):
        raise ValueError(
            f"a detection resolution of {resolution:g} makes {width * height / 1e6:.3g} megapixels of this picture; "
            f"expected at most {MAX_PIXELS // 1_000_000}"
        )
    return width, height


def at_resolution(extract: Extract, image: Image.Image, condition: str, resolution: int | None = None) -> Image.Image:
    """A map looked for at one resolution and given at the picture's size.

    Args:
        extract: `extract(image)` gives the map of a picture.
        image: any picture.
        condition: the condition's name, which says how its map is resized.
        resolution: as in `detection_size`.

    Raises:
        ValueError: for a resolution under 1, an unknown condition, or what `extract` raises.
    """
    if detection_size(image.size, resolution) == image.size:
        return extract(image)
    return fit_map(extract(seen_at(image, resolution)), image.size, condition, "stretch")


def seen_at(image: Image.Image, resolution: int | None = None) -> Image.Image:
    """A picture at its `detection_size`."""
    size = detection_size(image.size, resolution)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def at_size(
    extract: Extract,
    image: Image.Image,
    condition: str,
    size: tuple[int, int],
    mode: str = "crop",
    resolution: int | None = None,
) -> Image.Image:
    """The map of a picture for pictures of another size.

    Args:
        extract: `extract(image)` gives the map of a picture.
        image: any picture.
        condition: the condition's name, which says how its map is resized.
        size: of the map, width and height in pixels.
        mode: "crop", "stretch" or "fill", as in `fit_map`.
        resolution: as in `detection_size`; None is pixel-perfect: the picture is brought to the map's size first, so
            that nothing of the map is resized.

    Raises:
        ValueError: as `at_resolution`, and for an unknown mode or a size under 1 pixel.
    """
    if resolution is not None:
        return fit_map(extract(seen_at(image, resolution)), size, condition, mode)
    check_fit(size, condition, mode)
    if mode == "crop":
        return extract(fit(image, size))
    if mode == "stretch":
        return extract(resize(image, size))
    return fit_map(extract(resize(image, inner_size(image.size, size))), size, condition, "fill")


def tiled(extract: Extract, image: Image.Image, limit: int = 1024, overlap: int = 128, blend: bool = False) -> Image.Image:
    """The map of a large picture, put together from the maps of overlapping tiles.

    Args:
        extract: `extract(image)` gives a map of the picture's size.
        image: any picture. One that is no longer than `limit` either way is not cut.
        limit: longest side of a tile in pixels.
        overlap: pixels that neighbours share at least. If the map of a pixel depends on what is within half of it
            alone, the result is the same as in one piece.
        blend: False cuts in the middle of the overlap, so that every pixel is one that was extracted: for palettes and
            lines. True lets one tile fade into the next: for depth and soft edges, whose tiles differ in level.

    Raises:
        ValueError: unless 0 <= overlap < limit, or when a map has not the size of its tile.
    """
    if max(image.size) <= limit:
        check_tiles(limit, overlap)
        return extract(image)
    total: np.ndarray | None = None
    for (rows, columns), weight in tiles(image.size, limit, overlap, blend):
        part = extract(image.crop((columns.start, rows.start, columns.stop, rows.stop)))
        if part.size != weight.shape[::-1]:
            raise ValueError(f"a tile of {weight.shape[::-1]} pixels gave a map of {part.size}; expected the same size")
        pixels = np.asarray(part, np.float32)
        if total is None:
            total = np.zeros((image.height, image.width, *pixels.shape[2:]), np.float32)
        total[rows, columns] += pixels * (weight[..., None] if pixels.ndim == 3 else weight)
    assert total is not None, "there is at least one tile"
    return Image.fromarray(total.round().clip(0, 255).astype(np.uint8))


def tiles(size: tuple[int, int], limit: int, overlap: int, blend: bool) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Where the tiles of a picture lie, as rows and columns, and the weight of each of their pixels, (h, w) float32.

    The weights of a pixel sum to 1; without `blend` each is 0 or 1. Takes what `tiled` takes.

    Raises:
        ValueError: unless 0 <= overlap < limit.
    """
    check_tiles(limit, overlap)
    for rows, y in spans(size[1], limit, overlap, blend):
        for columns, x in spans(size[0], limit, overlap, blend):
            yield (rows, columns), np.multiply.outer(y, x)


def check_tile(tile: int | None) -> None:
    """Refuse tiles of a network that are too small to see anything."""
    if tile is not None and not (tile >= SMALLEST and tile % 1 == 0):
        raise ValueError(f"tiles have {tile} pixels; expected a whole number, {SMALLEST} or more (1024 is usual)")


def check_tiles(limit: int, overlap: int) -> None:
    """Refuse tiles that would not get on."""
    if not 0 <= overlap < limit:
        raise ValueError(f"tiles of {limit} pixels with an overlap of {overlap}; expected 0 <= overlap < limit")


def spans(side: int, limit: int, overlap: int, blend: bool) -> list[tuple[slice, np.ndarray]]:
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
