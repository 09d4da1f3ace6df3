"""A ControlNet trained through the library for a figure: the same bits after any interruption, and its processor time.

The time of a network is counted over all calls that it took. What was trained after the last saved state of a killed run is
trained again, and counted again.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.paper.rows import Row, Rows

from zeroconv import ControlNet
from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.data import write_world
from zeroconv.training import Event, Progress, TrainConfig, Trainer

__all__ = [
    "BATCH",
    "FIRST",
    "CPUClock",
    "Trained",
    "budget_row",
    "measure_step",
    "prepare_scenes",
    "record_training",
    "train_network",
]

FIRST = 500_000_000
"""The first scene that figures train on; the tiny base saw others."""
BATCH, TIMED = 8, (4, 24)
SAVED_EVERY = 25  # steps, some twenty seconds
COOLING = 5  # the rate falls over one of so many parts of the steps


@dataclass(frozen=True)
class Trained:
    """A network, and what it cost.

    Attributes:
        network: after the last step.
        seconds: of the processor, in all calls.
    """

    network: ControlNet
    seconds: float


class CPUClock:
    """Seconds of the processor that something took, over several processes; a file keeps those of the earlier ones."""

    def __init__(self, file: Path) -> None:
        self.file, self.started = file, time.process_time()
        self.before = float(json.loads(file.read_text("utf-8"))) if file.exists() else 0.0

    @property
    def seconds(self) -> float:
        """Until now."""
        return self.before + time.process_time() - self.started

    def keep(self) -> None:
        """Write them down."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.file, json.dumps(round(self.seconds, 2)))


def settings(out: Path, steps: int, seed: int, changes: dict[str, Any]) -> TrainConfig:
    """A training whose only probes are of one picture, before it and after it."""
    return TrainConfig.build(
        **{
            "model.base": "tiny", "checkpoint.out": str(out), "checkpoint.every": SAVED_EVERY, "optimization.seed": seed,
            "optimization.steps": steps, "optimization.batch_size": BATCH, "optimization.decay_steps": steps // COOLING,
            "probe.count": 1, "probe.steps": 1, "probe.every": 10**6, **changes,
        }
    )  # fmt: skip


def train_network(out: Path, steps: int, seed: int, report: Callable[[str], None] = lambda _: None, **changes: Any) -> Trained:
    """Train for so many steps of 8 samples, with the tiny base's recipe and the rate falling over the last fifth.

    Args:
        out: the run folder.
        steps: of the optimizer.
        seed: of the training.
        report: called with a line now and then.
        **changes: settings of the training by their full names.
    """
    clock = CPUClock(out.with_name(f"{out.name}.seconds.json"))

    def follow(event: Event) -> None:
        if isinstance(event, Progress):
            clock.keep()
            if event.step % (10 * BATCH) == 0 or event.step == steps:
                report(event.line())

    trainer = Trainer(settings(out, steps, seed, changes), follow)
    if trainer.done >= steps:  # nothing of what follows belongs to the training
        trainer.fit()
        return Trained(trainer.network.eval(), clock.before)
    trainer.fit()
    clock.keep()
    return Trained(trainer.network.eval(), clock.seconds)


def measure_step(out: Path, **changes: Any) -> float:
    """Seconds of the processor for a step of training, from two short trainings; `**changes` as in `train_network`."""
    took: list[float] = []
    for steps in TIMED:
        shutil.rmtree(out, ignore_errors=True)
        started = time.process_time()
        Trainer(settings(out, steps, 0, changes), lambda _: None).fit()
        took.append(time.process_time() - started)
    shutil.rmtree(out)
    return (took[1] - took[0]) / (TIMED[1] - TIMED[0])


def budget_row(rows: Rows, named: Row, out: Path, minutes: float, **changes: Any) -> Row:
    """The row that says how long a step takes, timed when there is none yet, and how many such steps there are in some minutes.

    Args:
        rows: of the figure.
        named: what names the row beside its part.
        out: a folder for the short trainings; it goes.
        minutes: of the processor.
        **changes: as in `train_network`.
    """
    found = rows.find(part="budget", **named)
    if found is None:
        seconds = measure_step(out, **changes)
        steps = max(round(60 * minutes / seconds), 1)
        found = rows.add({"part": "budget", **named, "seconds_of_step": seconds, "optimizer_steps": steps})
    return found


def record_training(rows: Rows, named: Row, out: Path, steps: int, seed: int, **changes: Any) -> Trained:
    """`train_network`, with a row of what it cost.

    Args:
        rows: of the figure.
        named: what names the row beside its part and seed.
        out: the run folder.
        steps: of the optimizer.
        seed: of the training.
        **changes: as in `train_network`.
    """
    title = f"{out.name}, seed {seed}"
    trained = train_network(out, steps, seed, lambda line: print(f"{title}: {line}", flush=True), **changes)
    if rows.find(part="training", seed=seed, **named) is None:
        spent = round(trained.seconds / 60, 2)
        rows.add({"part": "training", "seed": seed, **named, "optimizer_steps": steps, "cpu_minutes": spent})
        print(f"{title}: {steps} steps in {spent} minutes of the processor", flush=True)
    return trained


def prepare_scenes(folder: Path, count: int, condition: str) -> dict[str, str]:
    """Render and encode scenes to train on, once, with the exact maps of a condition if there are any, and one held out.

    Returns:
        The settings of a training on them.
    """
    scenes, prepared = folder / "scenes", folder / "prepared"
    if not (scenes / "metadata.jsonl").exists():  # which is written last, as the manifest is
        print(f"rendering {count} scenes", flush=True)
        write_world(scenes, count + 1, [condition], FIRST)
    if not (prepared / "manifest.json").exists():
        command = ["data", "prepare", str(scenes), "--out", str(prepared), "--condition", condition, "--workers", "1"]
        subprocess.run([sys.executable, "-m", "zeroconv", *command], check=True)
    return {"data.source": str(scenes), "data.cache": str(prepared), "data.condition": condition}
