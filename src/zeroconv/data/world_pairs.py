"""The tiny world as a data set: rendered when asked for, or written to a folder."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from zeroconv import conditions
from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.conditions.condition import RenderedScene
from zeroconv.data.file_part import Cell
from zeroconv.data.pairs import Pair
from zeroconv.data.rows import Row
from zeroconv.errors import InputError
from zeroconv.images import write_png
from zeroconv.world import make

__all__ = ["WorldPairs", "rendered_rows", "truth", "write_world"]

KEPT = 4096  # scenes of a data set that stay in memory, 50 or 100 KB each: rendering one takes as long as a training step


def truth(picture: RenderedScene, condition: str) -> Image.Image:
    """The exact map of a rendered picture: from its geometry where the condition knows how, else extracted from its pixels.

    Raises:
        InputError: for an unknown condition.
    """
    known = conditions.get(condition)
    return known.ground_truth(picture) if known.ground_truth else conditions.extract(known.name, Image.fromarray(picture.rgb))


class WorldPairs:
    """Scenes of the tiny world, one per seed.

    Args:
        count: how many.
        first_seed: the first scene; those from 900,000,000 on are held out from every training of the tiny base.
        condition: whose exact map comes with each pair, if the renderer knows it; of several in one control those it knows.
        size: side of the pictures in pixels.
        kind: scenes of one kind only; any if left out.
    """

    def __init__(
        self, count: int, first_seed: int = 0, condition: str | None = None, size: int = 128, kind: str | None = None
    ) -> None:
        self.first_seed, self.size, self.kind = first_seed, size, kind
        known = conditions.get(condition).each if condition else ()
        self.exact = [part.name for part in known if part.ground_truth]
        self.kept: dict[int, Pair] = {}
        self.max_captions = 1
        self.names: Sequence[str] = [f"world-{first_seed + i:09d}" for i in range(count)]

    def __len__(self) -> int:
        """How many scenes."""
        return len(self.names)

    def __getitem__(self, index: int) -> Pair:
        """Scene `index`, rendered in the first epoch and kept for the next."""
        if index not in self.kept:
            picture = make(self.first_seed + index, self.kind, self.size)
            maps = {name: truth(picture, name) for name in self.exact}
            pair = Pair(self.names[index], Image.fromarray(picture.rgb), picture.caption, maps)
            if len(self.kept) >= KEPT:
                return pair
            self.kept[index] = pair
        return self.kept[index]


def rendered_rows(pairs: WorldPairs) -> list[Row]:
    """Scenes as rows whose files are PNGs made when they are opened: what reads files reads them too."""

    def png(image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=0)
        return buffer.getvalue()

    def map_of(condition: str) -> Callable[[int], bytes]:
        return lambda index: png(pairs[index].maps[condition])

    maps = {name: map_of(name) for name in pairs.exact}
    rows: list[Row] = []
    for index, name in enumerate(pairs.names):
        files = {key: Cell(f"{name}/{key}", f"{key} of {name}", read, index) for key, read in maps.items()}
        image = Cell(name, name, lambda index: png(pairs[index].image), index)
        rows.append(Row(name, image, (pairs[index].caption,), files, name))
    return rows


def write_world(
    out: Path,
    count: int,
    names: Sequence[str],
    first_seed: int = 0,
    report: Callable[[int, int], None] | None = None,
) -> Path:
    """Write scenes as an image folder with `metadata.jsonl`; run again, it goes on where it stopped.

    ```
    out/images/world-000000000.png    out/depth/world-000000000.png …    out/metadata.jsonl
    ```

    Args:
        out: the folder.
        count: how many scenes.
        names: conditions whose maps are written.
        first_seed: the first scene.
        report: called with (written, count).

    Raises:
        InputError: for an unknown condition, or a count under 1; nothing is written.
        OSError: when the folder cannot be written.
    """
    wanted = [part.name for name in names for part in conditions.get(name).each]
    if count < 1:
        raise InputError(f"{count} scenes are asked for; expected 1 or more", field="count")
    for folder in ("images", *wanted):
        (out / folder).mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for i in range(count):
        picture = make(first_seed + i)
        name = f"world-{first_seed + i:09d}.png"
        for condition in wanted:
            if not (out / condition / name).exists():  # each file is whole or not there
                write_png(truth(picture, condition), out / condition / name)
        if not (out / "images" / name).exists():
            write_png(Image.fromarray(picture.rgb), out / "images" / name)
        columns = {condition: f"{condition}/{name}" for condition in wanted}
        lines.append(json.dumps({"file_name": f"images/{name}", "text": picture.caption, **columns}))
        if report is not None:
            report(i + 1, count)
    write_text(out / "metadata.jsonl", "\n".join(lines) + "\n")
    return out
