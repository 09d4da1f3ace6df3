"""Held-out pairs to folders of pictures, batch by batch: the work of one process, the same in whichever order it is done.

A batch is computed as a whole and each file is there whole or not at all, so that a run that was killed makes the same bits
when it goes on, and so do several that share the work.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from zeroconv import conditions
from zeroconv.control import ControlNet
from zeroconv.data import Pairs, Subset
from zeroconv.evaluation.folders.plan import (
    MAPS,
    RECONSTRUCTION,
    TRUTH,
    ConflictingPrompts,
    PictureSet,
    Plan,
    name_stems,
)
from zeroconv.evaluation.samples import HeldOut
from zeroconv.generation import ControlPipeline
from zeroconv.generation.png_metadata import write_pictures
from zeroconv.images import decode, write_png

__all__ = ["FolderMaker", "Made"]


@dataclass(frozen=True)
class Made:
    """A batch that is on the disk.

    Attributes:
        batch: its number.
        pictures: that were made now; the others were there.
    """

    batch: int
    pictures: int


class FolderMaker:
    """Makes the pictures of a plan.

    Args:
        plan: what is made.
        folder: where to.
        pipeline: the base.
        network: the ControlNet.
        pairs: all of the data set.
    """

    def __init__(self, plan: Plan, folder: Path, pipeline: ControlPipeline, network: ControlNet, pairs: Pairs) -> None:
        if plan.pictures_per_map > 1:
            pairs = Subset(pairs, [row for row in range(len(pairs)) for _ in range(plan.pictures_per_map)])
        self.plan, self.folder, self.pipeline, self.network, self.pairs = plan, folder, pipeline, network, pairs
        self.condition = conditions.get(plan.condition)
        self.stems = name_stems(pairs.names)
        self.prompts = ConflictingPrompts(pairs, self.stems, plan.seed)

    def file(self, folder: str, row: int) -> Path:
        """The file of a pair in one of the folders."""
        return self.folder / folder / f"{self.stems[row]}.png"

    def files_of(self, row: int) -> list[Path]:
        """The files of all pictures that are made of a pair."""
        sets = [one.folder for one in self.plan.generated if one.count is None or row < one.count]
        return [self.file(name, row) for name in (*sets, RECONSTRUCTION)]

    def is_done(self, row: int) -> bool:
        """Whether all that is made of a pair is there; of a map that asks for nothing no pictures are made."""
        if not (self.file(TRUTH, row).is_file() and self.file(MAPS, row).is_file()):
            return False
        there = [file.is_file() for file in self.files_of(row)]
        if all(there) or any(there):
            return all(there)
        return self.asks_nothing(decode(self.file(MAPS, row)).convert(self.condition.contract.mode))

    def asks_nothing(self, image: Image.Image) -> bool:
        """Whether a map asks for nothing."""
        return self.condition.nothing_asked(image) is not None

    def make(self, number: int) -> Iterator[int | Made]:
        """Make what is missing of a batch.

        Args:
            number: of the batch.

        Yields:
            1 for each pair; at last the batch.

        Raises:
            InputError: as the pairs, and for maps that are none.
            OSError: when a file cannot be written.
        """
        rows, count = self.plan.rows(number), 0
        if not all(map(self.is_done, rows)):
            count = self.make_batch(rows)
        for _ in rows:
            yield 1
        yield Made(number, count)

    def make_batch(self, rows: range) -> int:
        """Make what is missing of some pairs, and count the pictures."""
        plan, count = self.plan, 0
        held = HeldOut.of(self.pairs, rows, self.pipeline.base.size, plan.condition, self.network.config.extract, plan.seed)
        for row, pair, image in zip(rows, held.pairs, held.maps, strict=True):
            write_png(pair.image, self.file(TRUTH, row))
            write_png(image, self.file(MAPS, row))
        asking = [place for place, image in enumerate(held.maps) if not self.asks_nothing(image)]
        for one in plan.generated:
            places = [place for place in asking if one.count is None or rows[place] < one.count]
            files = [self.file(one.folder, rows[place]) for place in places]
            if places and not all(file.is_file() for file in files):
                count += self.make_set(one, held.select(places), [rows[place] for place in places], files)
        files = [self.file(RECONSTRUCTION, rows[place]) for place in asking]
        if not all(file.is_file() for file in files):
            for file, image in zip(files, held.select(asking).reconstruct(self.pipeline.base), strict=True):
                write_png(image, file)
        return count

    def make_set(self, one: PictureSet, held: HeldOut, rows: Sequence[int], files: Sequence[Path]) -> int:
        """Make the pictures of one set and write those that are not there."""
        if one.conflicting:
            pairs = [
                replace(pair, caption=self.prompts.of(row, pair.caption)) for row, pair in zip(rows, held.pairs, strict=True)
            ]
            held = replace(held, pairs=pairs)
        network = self.network if one.controlled else None
        request = {**self.plan.request(one.steps, one.controlled), "batch_size": len(rows)}
        output, controls = held.run(self.pipeline, network, self.plan.scale, **request)
        return write_pictures(output, controls, files, self.pipeline.base)
