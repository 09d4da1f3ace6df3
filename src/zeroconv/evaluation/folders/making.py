"""All pictures of an evaluation made: in this process, as one part of several that share the work, or by a Ray cluster."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from zeroconv.control import ControlNet
from zeroconv.data import open_pairs
from zeroconv.data.prepared.ray_engine import run_ray
from zeroconv.errors import InputError
from zeroconv.evaluation.folders.maker import FolderMaker, Made
from zeroconv.evaluation.folders.manifest import Entry, write_manifest
from zeroconv.evaluation.folders.picture_folder import read_embedded
from zeroconv.evaluation.folders.plan import (
    CONFLICT,
    MAPS,
    RECONSTRUCTION,
    SETTINGS,
    TRUTH,
    WITH,
    WITHOUT,
    Plan,
    check_settings,
)
from zeroconv.generation import BaseRequest, ControlPipeline
from zeroconv.generation.base import describe_base, open_base
from zeroconv.generation.png_metadata import fingerprint
from zeroconv.messages import listen
from zeroconv.runtime.choice import Runtime
from zeroconv.stable_diffusion.eight_bits import quantize

__all__ = ["Engine", "MakingJob", "Shard", "list_pictures", "make_pictures", "remove_pictures"]

Engine = Literal["local", "ray"]
OURS = re.compile("|".join((WITH, WITHOUT, RECONSTRUCTION, CONFLICT, TRUTH, MAPS, r"steps-\d{3}")))
"""Names of folders that an evaluation makes."""


@dataclass(frozen=True)
class Shard:
    """One of several parts of the work.

    Attributes:
        number: counted from 1.
        of: how many parts there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From "2/4".

        Raises:
            InputError: when it is none.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise InputError(f"the shard is {text!r:.40}; expected NUMBER/OF, such as 1/4 or 4/4", field="shard")
        return cls(int(match[1]), int(match[2]))

    def of_batches(self, count: int) -> range:
        """Its batches."""
        return range(self.number - 1, count, self.of)


@dataclass(frozen=True)
class MakingJob:
    """What workers elsewhere are told.

    Attributes:
        plan: what is made.
        folder: where to; every worker must see it, and whatever is opened, under the same path.
        data: the data set.
        control: the ControlNet.
        base: the base.
        runtime: how networks are run.
    """

    plan: Plan
    folder: Path
    data: str
    control: str
    base: BaseRequest
    runtime: Runtime | None = None

    @property
    def device(self) -> str:
        """Where pictures are made."""
        return self.base.device or "cpu"

    def maker(self) -> FolderMaker:
        """A maker with everything opened; what there is to say about it was said before."""
        with listen(lambda _: None):
            pipeline = ControlPipeline(open_base(self.base))
            if self.runtime is not None:
                pipeline.optimize(runtime=self.runtime)
            network = ControlNet.from_pretrained(self.control, unet=pipeline.base.unet)
            if self.base.weights is not None:
                quantize(network)
            pipeline.adopt(network)
            return FolderMaker(self.plan, self.folder, pipeline, network, open_pairs(self.data, self.plan.condition))


def make_pictures(
    maker: FolderMaker,
    data: str,
    *,
    shard: Shard = Shard(),
    job: MakingJob | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Make what is missing of the pictures of a plan.

    Args:
        maker: this process's own.
        data: the name of the data set.
        shard: which part of the work.
        job: what the workers of a Ray cluster are told; this process makes the pictures if left out.
        on_progress: called with (pairs done, pairs of this part).

    Returns:
        How many pictures were made; the others were there.

    Raises:
        InputError: when the folder has pictures of other settings, or as the pairs and the pipeline.
        OSError: when a file cannot be written.
    """
    plan = maker.plan
    if plan.batch_size < 1:
        raise InputError(f"batch size is {plan.batch_size}; expected 1 or more", field="batch_size")
    maker.network.check_base(maker.pipeline.base.unet)
    maker.folder.mkdir(parents=True, exist_ok=True)
    check_settings(maker.folder, describe(maker, data))
    batches, made, rows = shard.of_batches(plan.batches), 0, 0
    total = sum(len(plan.rows(number)) for number in batches)
    for said in run(maker, batches, job):
        if isinstance(said, Made):
            made += said.pictures
        if job is None:
            rows += said if isinstance(said, int) else 0
        else:  # Ray tells of whole batches alone
            rows += len(plan.rows(said.batch)) if isinstance(said, Made) else 0
        if on_progress is not None:
            on_progress(rows, total)
    return made


def run(maker: FolderMaker, batches: Sequence[int], job: MakingJob | None) -> Iterator[int | Made]:
    """What this process, or the cluster, says while it makes batches."""
    if job is not None:
        missing = [number for number in batches if not all(map(maker.is_done, maker.plan.rows(number)))]
        workers = torch.cuda.device_count() if job.device.startswith("cuda") else len(os.sched_getaffinity(0))
        yield from run_ray(job, missing, max(1, workers))
        return
    for number in batches:
        yield from maker.make(number)


def describe(maker: FolderMaker, data: str) -> dict[str, object]:
    """Everything that the pictures depend on, and the names of those networks whose weights are meant."""
    base, network = maker.pipeline.base, maker.network
    asked = describe_base(base).model_dump(mode="json", exclude={"name", "device"})
    asked = {f"base {key}": value for key, value in asked.items() if value}
    weights = {"weights of the base": fingerprint(base.unet), "weights of the control": fingerprint(network)}
    return {"data": data, **maker.plan.settings(), **asked, **weights, "extract": dict(network.config.extract)}


def list_pictures(maker: FolderMaker) -> list[int]:
    """Write the manifest of every folder, and say which pairs have pictures.

    Returns:
        Those of the plan; the manifests list all that are there.

    Raises:
        OSError: when a manifest cannot be written.
    """
    plan, found = maker.plan, list[int]()
    folders = [*(one.folder for one in plan.generated), RECONSTRUCTION, TRUTH]
    listed: dict[str, list[Entry]] = {name: [] for name in folders}
    for row, stem in enumerate(maker.stems):
        if not maker.file(WITH, row).is_file():
            continue
        if row < plan.count:
            found.append(row)
        own = read_embedded(maker.file(WITH, row))
        for name in folders:
            file = maker.file(name, row)
            if file.is_file():
                said = own if name in (RECONSTRUCTION, TRUTH) else read_embedded(file)
                listed[name].append(Entry(stem, said.prompt, said.seed, maker.file(MAPS, row), plan.condition))
    for name, entries in listed.items():
        if entries:
            write_manifest(maker.folder / name, entries)
    return found


def remove_pictures(folder: Path) -> None:
    """Remove what a run has made, and nothing else.

    Raises:
        InputError: when the folder is not one of pictures that were made here.
    """
    if not folder.exists():
        return
    if not (folder / SETTINGS).is_file():
        raise InputError(f"{folder} is no folder of an evaluation: it has no {SETTINGS}", field="out", hint="name another")
    for part in sorted(folder.iterdir()):
        if part.is_dir() and OURS.fullmatch(part.name):
            shutil.rmtree(part)
    (folder / SETTINGS).unlink()
    with suppress(OSError):  # something else lies there
        folder.rmdir()
