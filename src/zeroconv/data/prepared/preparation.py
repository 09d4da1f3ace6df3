"""`zeroconv data prepare`: a data set to a folder of shards, made once, gone on with after any interruption."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeroconv import conditions
from zeroconv.checkpoints.files.folder_lock import FolderLock
from zeroconv.data.folder_pairs import FolderPairs
from zeroconv.data.map_messages import look_at_maps
from zeroconv.data.prepared.disk_room import check_room
from zeroconv.data.prepared.encoders import hash_encoders, open_encoders, row_shapes
from zeroconv.data.prepared.engines import Engine, run_engine
from zeroconv.data.prepared.job import Job
from zeroconv.data.prepared.manifest import VIEWS, WHOLE, Settings, check_ours, is_prepared, read_manifest, write_manifest
from zeroconv.data.prepared.progress import Counter, Progressed
from zeroconv.data.prepared.source import Source, is_drawn
from zeroconv.data.prepared.stored_views import ViewSettings
from zeroconv.data.readiness import inspect
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell
from zeroconv.run_files import LOCK

__all__ = ["Prepared", "prepare"]


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
        views: of all pairs; 0 where pictures are kept whole.
    """

    folder: Path
    pairs: int
    broken: list[tuple[str, str]]
    shards: int
    made: int
    bytes: int
    rate: float
    views: int = 0


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
    buckets: bool = False,
    resolution: int | None = None,
    crops: int = 1,
    flip: bool = False,
    report: Callable[[Progressed], None] = lambda _: None,
) -> Prepared:
    """Encode a data set into `out`, which training then reads with `data.cache`.

    The same call again goes on where it stopped, and makes those shards anew whose pairs have changed or whose file is
    damaged. One call at a time works on a folder; a second one is refused.

    With `buckets`, or any of the three arguments behind it, views of pictures of any size are kept in place of whole ones of
    one size: parts that are cut to the bucket of each picture's shape, their maps with them, as a training with the settings of
    these names sees them. More parts than one are drawn by the pair's content, so that every call draws the same.

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
        buckets: whether views are kept.
        resolution: side in pixels of a square of the buckets' area; the base's own if left out.
        crops: parts of each picture; one is its middle.
        flip: whether each part is kept mirrored, too, where a caption allows it.
        report: called after each pair.

    Raises:
        InputError: for a data set that cannot be used, settings other than those of the folder, naming what differs, or while
            another process prepares there, naming it.
        OSError: when the disk has not enough room, or cannot be written.
    """
    given = dict(extract or {})
    if given and condition is None:
        raise InputError("parameters of an extractor are given without a condition", field="condition", hint="name one")
    check_ours(out)
    with held(out):
        found = Source(source, condition)
        before = read_manifest(out)[0] if is_prepared(out) and not fresh else None
        encoders = open_encoders(base, vae, device)
        seen = buckets or resolution or flip or crops > 1
        views = ViewSettings.of_base(encoders, resolution, crops, flip) if seen else None
        if before is not None:
            before.check_views(views, out)
        size = size_of(found, given, views) if before is None else before.size
        settings = Settings(
            source=source, pairs=len(found), shard_size=shard_size, size=size, base=base, vae=vae,
            encoders=hash_encoders(encoders), shapes=row_shapes(encoders, size), condition=found.condition, extract=given,
            maps=keeps_maps(found, size, given), version=WHOLE if views is None else VIEWS, views=views,
        )  # fmt: skip
        if before is not None:
            before.check_same(settings, out)
        job = Job(settings, out, device)
        maker = job.maker()
        maker.source, maker.base = found, encoders
        if fresh:
            remove_shards(out, range(0))
        check_room(settings, out, maker)
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
    total, kept = sum(entry.bytes for entry in entries), sum(entry.views for entry in entries)
    return Prepared(out, len(found), broken, len(entries), counter.shards_made, total, counter.progress().rate, kept)


@contextmanager
def held(out: Path) -> Generator[None]:
    """Hold a folder, so that no other process prepares in it; one that was made for it and stayed empty goes again.

    Raises:
        InputError: when another process holds it, naming it.
        OSError: when it cannot be written.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(out / LOCK, "is preparing", "out")
    lock.acquire()
    try:
        yield
    except BaseException:
        if [path.name for path in out.iterdir()] == [LOCK]:
            lock.path.unlink()
        raise
    finally:
        lock.release()
        for folder in made:
            with suppress(OSError):  # not empty
                folder.rmdir()


def size_of(source: Source, extract: Mapping[str, Any], views: ViewSettings | None) -> tuple[int, int]:
    """Width and height of most pictures, or of the square of their buckets.

    Raises:
        InputError: for what is wrong with the whole data set.
    """
    square = None if views is None else (views.resolution, views.resolution)
    if not isinstance(source.pairs, FolderPairs):
        return square or source.open(0).image.size
    found = inspect(source.pairs, 0, extract, one_size=square is None)
    if found.size is None or found.general:
        raise InputError("; ".join(found.lines[:3]), field="source")
    if source.condition is not None and not extract:
        for message in look_at_maps(source.pairs):
            tell(message)
    return square or found.size


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
