"""The trackers of a run: told every line of the log, each once, however often the run is interrupted."""

import json
import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zeroconv.checkpoints.files.atomic import read_json, write_text
from zeroconv.errors import InputError
from zeroconv.messages import Message
from zeroconv.run_files import SAMPLES
from zeroconv.training.config.groups import TrackerName
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.run_folder.folder import RunFolder
from zeroconv.training.tracking.tensorboard import TensorBoardTracker
from zeroconv.training.tracking.tracker import Tracker
from zeroconv.training.tracking.trackio import TrackioTracker
from zeroconv.training.tracking.wandb import WandbTracker

__all__ = ["Trackers"]

KINDS: Mapping[TrackerName, Callable[[], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
    "trackio": TrackioTracker,
}
NOTES = "trackers.json"
OF_PROBE = {
    "fidelity": "fidelity",
    "low": "fidelity_low",
    "high": "fidelity_high",
    "uncontrolled": "without_control",
    "ceiling": "ceiling",
    "held_out_loss": "held_out_loss",
}
OF_PROGRESS = ("samples_per_second", "learning_rate", "memory", "device_memory")


class Trackers:
    """The trackers that the settings name. Nothing that goes wrong in one of them ends the run.

    What each was told is kept in `trackers.json` in the run folder, before it is told: a run that is killed and goes on
    repeats steps, and a tracker that cannot rewind must not hear of them twice.

    Args:
        config: of the run.

    Raises:
        InputError: when the package of one is not installed.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.path = config, config.checkpoint.out
        self.trackers: dict[str, Tracker] = {name: new_tracker(name) for name in dict.fromkeys(config.checkpoint.track)}
        self.notes: dict[str, Any] = {}
        self.tell: Callable[[Message], None] = lambda _: None

    def open(self, folder: RunFolder, step: int, rows: Sequence[Mapping[str, Any]], tell: Callable[[Message], None]) -> None:
        """Begin, or go on; what the log has and a tracker was not told is told now, and every new line after it.

        Args:
            folder: of the run.
            step: which the run has reached.
            rows: of the log up to it.
            tell: called with a message when a tracker fails, which is then left alone.
        """
        self.tell, self.notes = tell, read_notes(self.path / NOTES) if self.trackers else {}
        for name, tracker in list(self.trackers.items()):
            note = self.notes.setdefault(name, {"name": f"{self.path.resolve().name}-{secrets.token_hex(4)}", "sent": {}})
            if tracker.rewinds:
                note["sent"] = {kind: min(sent, step) for kind, sent in note["sent"].items()}
            settings = json.loads(self.config.model_dump_json())
            self.attempt(name, partial(tracker.open, note["name"], self.path, settings, step))
        for row in rows:
            self.follow(row)
        if self.trackers:
            folder.followers.append(self.follow)

    def follow(self, row: Mapping[str, Any]) -> None:
        """Tell of a line of the log."""
        kind, step = row["event"], row["step"]
        numbers = list(numbers_of(row))
        if not numbers:
            return
        for name, tracker in list(self.trackers.items()):
            sent = self.notes[name]["sent"]
            if step > sent.get(kind, -1):
                told = [(at, found) for at, found in numbers if at > sent.get(kind, -1)]
                sent[kind] = step
                self.attempt(name, partial(self.send, tracker, told, row))

    def send(self, tracker: Tracker, numbers: Sequence[tuple[int, Mapping[str, float]]], row: Mapping[str, Any]) -> None:
        """Tell one tracker."""
        write_text(self.path / NOTES, json.dumps(self.notes))
        for step, found in numbers:
            tracker.log(step, found)
        sheet = self.path / SAMPLES / str(row.get("sheet"))
        if sheet.is_file():
            tracker.show(row["step"], "probe/sheet", sheet)

    def attempt(self, name: str, do: Callable[[], None]) -> None:
        """Do something with a tracker; when that fails, say so and do without it."""
        try:
            do()
        except Exception as error:
            self.trackers.pop(name, None)
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self.tell(Message(f"{name} fails ({reason}): the run goes on without it", "run.tracker"))

    def close(self) -> None:
        """Let them write what waits."""
        for name, tracker in list(self.trackers.items()):
            self.attempt(name, tracker.close)
        self.trackers.clear()


def new_tracker(name: TrackerName) -> Tracker:
    """A tracker by name.

    Raises:
        InputError: when its package is not installed.
    """
    try:
        return KINDS[name]()
    except ImportError as error:
        raise InputError(
            f"track = {name} needs a package that is not installed ({error})",
            field="checkpoint.track",
            hint=f'pip install "zeroconv[{name}]"',
        ) from error


def read_notes(path: Path) -> dict[str, Any]:
    """What each tracker was told; nothing where that is not known."""
    try:
        found = read_json(path)
        return {name: {"name": str(note["name"]), "sent": dict(note["sent"])} for name, note in found.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def numbers_of(row: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, float]]]:
    """The numbers of a line of the log, by step; those that are not finite are left out."""
    if row["event"] == "progress":
        losses, norms = row.get("losses", []), row.get("gradient_norms", [])
        last = {f"train/{name}": row[name] for name in OF_PROGRESS if name in row}
        for place, (loss, norm) in enumerate(zip(losses, norms, strict=True), start=1):
            numbers = {"train/loss": loss, "train/gradient_norm": norm, **(last if place == len(losses) else {})}
            yield row["step"] - len(losses) + place, finite(numbers)
    elif row["event"] == "probe":
        numbers = {f"probe/{name}": row[key] for key, name in OF_PROBE.items() if key in row}
        if "without_prompt" in row:
            numbers["probe/without_prompt"] = row["without_prompt"]["value"]
        for name, part in row.get("conditions", {}).items():  # of several
            numbers[f"probe/{name}"] = part["fidelity"]
        yield row["step"], finite(numbers)


def finite(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Those that are finite numbers."""
    return {name: float(one) for name, one in numbers.items() if isinstance(one, int | float) and math.isfinite(one)}
