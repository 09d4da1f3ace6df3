"""ControlNets of runs by name: opened anew whenever the run has written a better one."""

import time
from pathlib import Path

from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.service.models import ModelCache, WarmBase

__all__ = ["TrainedControls", "control_name", "network_folder"]

START = "run:"
AGAIN = 0.2  # seconds until a network is looked for again that was being replaced


def control_name(run: str) -> str:
    """What requests call the network of a run."""
    return START + run


def network_folder(runs: Path, run: str) -> Path:
    """Where a run keeps its best network."""
    return runs / run / "controlnet"


class TrainedControls:
    """The networks of runs, as a worker opens them.

    Args:
        folder: of all runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written: dict[tuple[str, str], tuple[int, ...]] = {}

    def open(self, base: str, names: list[str], models: ModelCache) -> None:
        """Have those of runs open in their newest version; names of other networks are passed over.

        Args:
            base: that they are for.
            names: of networks, which the service has listed.
            models: where they are kept.

        Raises:
            InputError: one is not there any more.
        """
        for name in names:
            if name.startswith(START):
                self.open_one(base, name, models, models.bases[base])

    def open_one(self, base: str, name: str, models: ModelCache, warm: WarmBase) -> None:
        """Have one open."""
        path = network_folder(self.folder, name.removeprefix(START))
        try:
            try:
                found = stamp(path)
                if name in warm.opened and self.written.get((base, name)) == found:
                    return
                network = ControlNet.from_pretrained(path, unet=warm.pipeline.base.unet)
            except (OSError, ValueError):  # it may be that the run writes it at this moment
                time.sleep(AGAIN)
                found = stamp(path)
                network = ControlNet.from_pretrained(path, unet=warm.pipeline.base.unet)
        except (OSError, ValueError) as error:
            raise InputError(f"the network of {name} cannot be opened now", hint="try again in a moment") from error
        if name in warm.opened:
            models.drop(base, name)
        network.name = name
        warm.opened[name], warm.used[name] = network, warm.last
        self.written[base, name] = found


def stamp(path: Path) -> tuple[int, ...]:
    """What differs when a network was written anew: times and inodes of its files.

    Raises:
        OSError: it is not there.
    """
    return tuple(value for one in sorted(path.iterdir()) for value in (one.stat().st_mtime_ns, one.stat().st_ino))
