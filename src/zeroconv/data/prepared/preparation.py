"""`zeroconv data prepare`: a data set to a folder of shards, made once, gone on with after any interruption."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from zeroconv import conditions
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.map_messages import look_at_maps
from zeroconv.data.prepared.disk_room import check_room
from zeroconv.data.prepared.encoders import hash_encoders, open_encoders, row_shapes
from zeroconv.data.prepared.engines import Engine, run_engine
from zeroconv.data.prepared.job import Job
from zeroconv.data.prepared.maker import Done
from zeroconv.data.prepared.manifest import Settings, ShardEntry, check_ours, is_prepared, read_manifest, write_manifest
from zeroconv.data.prepared.source import Source, is_drawn
from zeroconv.data.readiness import inspect
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell

__all__ = ["Prepared", "Progressed", "prepare"]


@dataclass(frozen=True)
class Progressed:
    """How far the work is.

    Attributes:
        done: pairs, those of kept shards among them.
        total: pairs.
        made: pairs that were encoded now.
        seconds: since the first of these.
        bytes: of the shards that are done.
    """

    done: int
    total: int
    made: int
    seconds: float
    bytes: int

    @property
    def rate(self) -> float:
        """Pairs a second."""
        return self.made / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Prepared:
    """What is there now.

    Attributes:
        folder: the prepared folder.
        pairs: of the data set.
        broken: names of pairs that cannot be used, each with the reason.
        shards: how many.
        made: shards that were made now; the others were there.
        bytes: of all shards.
        rate: pairs a second.
    """

    folder: Path
    pairs: int
    broken: list[tuple[str, str]]
    shards: int
    made: int
    bytes: int
    rate: float


def prepare(
    source: str,
    out: Path,
    *,
    base: str = "tiny",
    vae: str | None = None,
    condition: str | None = None,
    extract: Mapping[str, Any] | None = None,
    engine: Engine = "local",
    workers: int = 1,
    shard_size: int = 256,
    max_broken: float = 0.1,
    device: str = "cpu",
    fresh: bool = False,
    report: Callable[[Progressed], None] = lambda _: None,
) -> Prepared:
    """Encode a data set into `out`, which training then reads with `data.cache`.

    The same call again goes on where it stopped, and makes those shards anew whose pairs have changed or whose file is
    damaged. One call at a time may work on a folder.

    Args:
        source: as `train` takes it: a folder or file of pairs, hub:OWNER/NAME, world:COUNT.
        out: the folder.
        base: whose encoders.
        vae: another autoencoder.
        condition: whose maps are kept too, if they are the same at every visit of a training.
        extract: parameters of its extractor; ready maps are then left aside.
        engine: "local", processes of this machine, or "ray", a cluster.
        workers: how many encode at a time, each on one core or GPU.
        shard_size: pairs in a shard.
        max_broken: largest share of pairs that may be left out because they cannot be used; one may always be.
        device: where is encoded.
        fresh: remove what is there, and begin anew.
        report: called after each pair.

    Raises:
        InputError: for a data set that cannot be used, or settings other than those of the folder, naming what differs.
        OSError: when the disk has not enough room, or cannot be written.
    """
    given = dict(extract or {})
    if given and condition is None:
        raise InputError("parameters of an extractor are given without a condition", field="condition", hint="name one")
    check_ours(out)
    found = Source(source, condition)
    before = read_manifest(out)[0] if is_prepared(out) and not fresh else None
    size = size_of(found, given) if before is None else before.size
    encoders = open_encoders(base, vae, device)
    settings = Settings(
        source=source, pairs=len(found), shard_size=shard_size, size=size, base=base, vae=vae,
        encoders=hash_encoders(encoders), shapes=row_shapes(encoders, size), condition=found.condition, extract=given,
        maps=keeps_maps(found, size, given),
    )  # fmt: skip
    if before is not None:
        before.check_same(settings, out)
    job = Job(settings, out, device)
    maker = job.maker()
    maker.source, maker.base = found, encoders
    if fresh:
        remove_shards(out, range(0))
    check_room(settings, out, maker)
    out.mkdir(parents=True, exist_ok=True)
    remove_parts(out)
    if before is None:
        write_manifest(out, settings, None)
    counter = Counter(settings, max_broken, report)
    for said in run_engine(job, engine, workers, maker):
        counter.add(said)
    for message in counter.messages():
        tell(message)
    entries = [counter.entries[number] for number in range(settings.shards)]
    write_manifest(out, settings, entries)
    remove_shards(out, range(settings.shards))
    broken = [(found.pairs.names[int(row)], problem) for entry in entries for row, problem in entry.broken.items()]
    total = sum(entry.bytes for entry in entries)
    return Prepared(out, len(found), broken, len(entries), counter.shards_made, total, counter.progress().rate)


class Counter:
    """Counts what the workers say.

    Args:
        settings: of the whole.
        max_broken: largest share of pairs that may be left out.
        report: called with every change.
    """

    def __init__(self, settings: Settings, max_broken: float, report: Callable[[Progressed], None]) -> None:
        self.settings, self.report = settings, report
        self.max_broken = max_broken
        self.allowed = min(ceil(max_broken * settings.pairs), settings.pairs - 1)
        self.entries: dict[int, ShardEntry] = {}
        self.rows_kept = self.rows_made = self.shards_made = 0
        self.heard: dict[str, list[tuple[int, int, Message]]] = {}
        self.begun = time.monotonic()

    def add(self, said: int | Done) -> None:
        """Count rows, or a shard.

        Raises:
            InputError: when more pairs cannot be used than may be left out.
        """
        if isinstance(said, Done):
            self.entries[said.number] = said.entry
            self.shards_made += not said.kept
            first, last = said.entry.rows
            for code, (count, message) in said.heard.items():
                self.heard.setdefault(code, []).append((first, count, message))
            if said.kept:
                self.rows_kept += last - first
            broken = [problem for entry in self.entries.values() for problem in entry.broken.values()]
            if len(broken) > self.allowed:
                raise InputError(
                    f"{len(broken)} of {self.settings.pairs} pairs cannot be used, {self.allowed} may be left out "
                    f"(first: {broken[0]})",
                    field="source",
                    hint="`zeroconv data check` lists all; mend them, or give a larger --max-broken",
                )
        else:
            self.rows_made += said
        self.report(self.progress())

    def messages(self) -> Iterator[Message]:
        """What was said about pairs, once for each kind, in an order that does not depend on the workers."""
        for _, found in sorted(self.heard.items()):
            count, message = sum(count for _, count, _ in found), min(found, key=lambda one: one[0])[2]
            yield replace(message, text=f"{message.text} ({count} such pairs)") if count > 1 else message

    def progress(self) -> Progressed:
        """How far the work is."""
        made = sum(entry.rows[1] - entry.rows[0] for entry in self.entries.values()) - self.rows_kept
        made = max(made, self.rows_made)  # Ray tells of whole shards alone
        sizes = sum(entry.bytes for entry in self.entries.values())
        return Progressed(self.rows_kept + made, self.settings.pairs, made, time.monotonic() - self.begun, sizes)


def size_of(source: Source, extract: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of most pictures.

    Raises:
        InputError: for what is wrong with the whole data set.
    """
    if not isinstance(source.pairs, FolderPairs):
        return source.open(0).image.size
    found = inspect(source.pairs, 0, extract)
    if found.size is None or found.general:
        raise InputError("; ".join(found.lines[:3]), field="source")
    if source.condition is not None and not extract:
        for message in look_at_maps(source.pairs):
            tell(message)
    return found.size


def keeps_maps(source: Source, size: tuple[int, int], extract: Mapping[str, Any]) -> bool:
    """Whether a map is the same at every visit, so that it can be kept; it is said when not."""
    if source.condition is None:
        return False
    known, ready = conditions.get(source.condition), source.ready_maps()
    asked = {part: known.of_part(part, extract) for part in known.each}
    made = [part for part in known.each if asked[part] or part.name not in ready]
    drawn = [known.key(part, name) for part in made for name in is_drawn(part.name, size, asked[part])]
    if not drawn:
        return True
    options = " ".join(f"--set {name}=…" for name in drawn)
    text = (
        f"maps are not kept: training draws {', '.join(drawn)} of {source.condition} anew at every visit and opens the pictures"
    )
    tell(Message(f"{text}; {options} would fix them", "prepare.drawn-maps", "info"))
    return False


def remove_parts(out: Path) -> None:
    """Remove files that a killed process was about to write."""
    for part in out.glob(".*.part"):
        part.unlink(missing_ok=True)


def remove_shards(out: Path, keep: range) -> None:
    """Remove shards beyond those that are kept; with none kept, the manifest before them."""
    if not keep:
        (out / "manifest.json").unlink(missing_ok=True)
    for path in out.glob("shard-*"):
        number = path.stem.removeprefix("shard-")
        if path.suffix in (".json", ".safetensors") and number.isdecimal() and int(number) not in keep:
            path.unlink(missing_ok=True)
