"""Several maps of one picture in one image: side by side, from left to right."""

from collections.abc import Sequence

from PIL import Image

__all__ = ["join_maps", "split_map"]


def join_maps(maps: Sequence[Image.Image]) -> Image.Image:
    """One image of maps, which it does not change: (W, H) each, (n W, H) together, RGBA if one of them is; one is itself.

    Raises:
        ValueError: when they differ in size.
    """
    if len(maps) == 1:
        return maps[0]
    if len({one.size for one in maps}) != 1:
        sizes = ", ".join(f"{one.width}x{one.height}" for one in maps)
        raise ValueError(f"the maps of one picture are {sizes}; expected one size")
    width, height = maps[0].size
    joined = Image.new("RGBA" if any(one.mode == "RGBA" for one in maps) else "RGB", (len(maps) * width, height))
    for place, one in enumerate(maps):
        joined.paste(one, (place * width, 0))  # without a mask the transparency is copied too
    return joined


def split_map(joined: Image.Image, count: int) -> list[Image.Image]:
    """The maps that were joined, in the mode of the whole.

    Raises:
        ValueError: when the width is none of so many maps.
    """
    width, rest = divmod(joined.width, count)
    if rest or not width:
        raise ValueError(f"the map is {joined.width}x{joined.height}; expected {count} maps of one width, side by side")
    return [joined.crop((place * width, 0, (place + 1) * width, joined.height)) for place in range(count)]
