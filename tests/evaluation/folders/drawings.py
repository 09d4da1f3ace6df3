"""Small folders of pictures whose scores are known: a square, drawn where the map wants it, or somewhere else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from zeroconv.conditions import extract
from zeroconv.evaluation.folders import Entry
from zeroconv.evaluation.folders.manifest import write_manifest
from zeroconv.images import write_png

SIDE = 64


def draw(index: int, moved: int = 0, side: int = SIDE) -> Image.Image:
    """Picture `index`: a yellow square on blue, `moved` pixels from its place."""
    image = Image.new("RGB", (side, side), (20, 60, 200))
    place = side // 8 + index + moved
    ImageDraw.Draw(image).rectangle((place, place, place + side // 3, place + side // 3), fill=(240, 220, 30))
    return image


def write_pictures(folder: Path, moved: Sequence[int], prompts: Sequence[str] | None = None, **more: Any) -> Path:
    """A folder with a picture for each number, and a manifest if there are prompts."""
    for index, pixels in enumerate(moved):
        write_png(draw(index, pixels), folder / f"p{index}.png")
    if prompts is not None:
        write_manifest(folder, [Entry(f"p{i}", prompt, i, **more) for i, prompt in enumerate(prompts)])
    return folder


def write_maps(folder: Path, count: int, condition: str = "canny", extra: Mapping[str, Image.Image] | None = None) -> Path:
    """The true maps of the pictures."""
    maps = {f"p{index}": extract(condition, draw(index)) for index in range(count)}
    for stem, image in {**maps, **(extra or {})}.items():
        write_png(image, folder / f"{stem}.png")
    return folder
