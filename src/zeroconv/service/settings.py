"""How a service is set up: where its state is, what it offers, and how much of it one request may take."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Limits", "ServiceSettings"]

GIB = 2**30


@dataclass(frozen=True)
class Limits:
    """The most that is done for one request, and for all of them.

    Attributes:
        longest_side: pixels of a picture, and of a tile.
        longest_tiled: pixels of a picture that is made in tiles.
        tiles: of a picture.
        steps: denoising steps of a picture.
        images: pictures of one request.
        controls: of one request.
        body_bytes: of a request.
        queue: jobs that wait; one client may hold as many as places are free.
        seconds: from a job's arrival to its end.
        reading_seconds: for the map of a picture, or its settings.
    """

    longest_side: int = 1024
    longest_tiled: int = 2048
    tiles: int = 256
    steps: int = 150
    images: int = 16
    controls: int = 8
    body_bytes: int = 32 * 2**20
    queue: int = 256
    seconds: float = 3600.0
    reading_seconds: float = 60.0

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class ServiceSettings:
    """What a service is started with.

    Attributes:
        folder: of its state: `service.sqlite` and the pictures beside it.
        bases: names of bases that requests may name; the first is the one of requests that name none.
        controls: ControlNets beside those of the package that fit one of the bases.
        devices: a worker process for each; None is the best device there is.
        memory: bytes of networks that a worker keeps; the least recently used goes first.
        threads: of a worker on a CPU; None leaves it to torch.
        limits: of requests.
        data: folders of pairs that trainings may be started on, as (name, folder).
        database: `postgresql://…`, where the state is in place of a file, for several that share the folder; it may hold a
            password, and is not shown.
        keep: pictures of the gallery, and jobs that have ended; the oldest go first. None keeps all pictures.
    """

    folder: Path
    bases: tuple[str, ...] = ("tiny",)
    controls: tuple[str, ...] = ()
    devices: tuple[str | None, ...] = (None,)
    memory: int = 8 * GIB
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)
    data: tuple[tuple[str, Path], ...] = ()
    database: str | None = field(default=None, repr=False)
    keep: int | None = None
