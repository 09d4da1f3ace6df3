"""The run folder: settings, log, sheets, the network, and the state from which the same command resumes."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeroconv.checkpoints.files.atomic import replacing, sync, write_text
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.publishing import save_with_card, write_readme
from zeroconv.training.config import TrainConfig
from zeroconv.training.folder_lock import FolderLock

__all__ = ["RunFolder"]

FIXED_ON_RESUME = (
    "model.base", "model.vae", "model.prediction_type", "data.source", "data.condition", "data.extract", "model.variant",
    "model.rank", "model.connection", "model.condition_encoder", "model.condition_encoder_channels", "model.control",
    "optimization.batch_size", "optimization.seed", "probe.count", "optimization.optimizer",
)  # fmt: skip
"""Settings that make a run what it is; resuming with others would be another run.

`probe.count` is one of them: it says which pairs are held out, and those must never have been trained on."""


class RunFolder:
    """The files of one run.

    ```
    config.toml             the settings, as `--config` reads them
    log.jsonl               one JSON object per line: progress, probes, announcements
    samples/step-000100.png truth, map, without and with control
    controlnet/             the best network by fidelity, in the diffusers layout, or as a Control-LoRA
    state/                  the newest network, the optimizer and the step, for resuming
    README.md               what this is and how to use it; README.zeroconv.md beside one of yours
    lock                    held by the process that trains
    ```

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "state"
        self.lock = FolderLock(path / "lock")

    def open(self, config: TrainConfig) -> None:
        """Make the folder, or check that it holds the same run.

        Raises:
            InputError: when another process trains in it, or it holds another run, naming the first setting that differs.
            OSError: when it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.lock.acquire()
        try:
            self.prepare(config)
        except BaseException:
            self.lock.release()
            raise

    def unlock(self) -> None:
        """Let other processes train in it."""
        self.lock.release()

    def prepare(self, config: TrainConfig) -> None:
        """Write the settings, unless they are of another run; errors as `open`."""
        file = self.path / "config.toml"
        if file.exists():
            before = TrainConfig.build(file)
            for path in FIXED_ON_RESUME:
                group, _, name = path.partition(".")
                old, new = (getattr(getattr(settings, group), name) for settings in (before, config))
                if old != new:
                    raise InputError(
                        f"{self.path} holds a run with {path} = {old!r}, now {new!r} is asked for",
                        field=path,
                        hint="choose another --out, or the settings of that run",
                    )
        (self.path / "samples").mkdir(parents=True, exist_ok=True)
        write_text(file, config.to_toml())

    def log(self, kind: str, step: int, **values: Any) -> None:
        """Add a line to the log."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": kind, "step": step, **values}) + "\n")

    def sync_log(self) -> None:
        """Wait until the lines so far are on the disk."""
        if (self.path / "log.jsonl").exists():
            sync(self.path / "log.jsonl")

    def rewind_log(self, step: int) -> list[dict[str, Any]]:
        """Drop what was logged after `step` (an interrupted run repeats it); the lines that remain."""
        path = self.path / "log.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        kept = [row for row in map(parse_line, lines) if row is not None and row["step"] <= step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
        return kept

    def save_best(
        self,
        network: ControlNet,
        step: int,
        fidelity: float,
        sheet: Path,
        metrics: Mapping[str, str | float],
        licence: str | None = None,
    ) -> None:
        """Write the network as the run's result, with the sheet of its probe and a model card.

        Args:
            network: the best so far.
            step: at which it was probed.
            fidelity: of the probe.
            sheet: the picture of the probe's samples.
            metrics: what the card says was measured.
            licence: of the network.
        """
        folder = self.path / "controlnet"
        folder.mkdir(exist_ok=True)
        with replacing(folder / "samples.png") as part:
            shutil.copyfile(sheet, part)
        save_with_card(network, folder, metrics=metrics, samples="samples.png", licence=licence)
        write_text(folder / "probe.json", json.dumps({"step": step, "fidelity": fidelity}))

    def read_best(self) -> float:
        """Fidelity of the network kept so far; below any when there is none."""
        path = self.path / "controlnet" / "probe.json"
        return float(json.loads(path.read_text("utf-8"))["fidelity"]) if path.exists() else -1.0

    def write_readme(self, config: TrainConfig, text: str) -> None:
        """Say what the folder holds and the exact command that uses it."""
        base, condition = config.model.base, config.data.condition
        opens = "opens in diffusers with `ControlNetModel.from_pretrained`"
        if config.model.variant == "lora":
            opens = f"holds a Control-LoRA, offsets from {base}, which other tools open too"
        write_readme(
            self.path,
            f"# A ControlNet for {condition} on {base}\n\n{text}\n\n"
            "```\n"
            f'zeroconv generate --base {base} --control {self.path} --image photo.png --prompt "…" --out pictures\n'
            f"zeroconv evaluate --base {base} --control {self.path} --data {config.data.source} --out report\n"
            "```\n\n"
            f"`controlnet/` {opens}. The newest probe is in `samples/`.\n",
        )


def parse_line(line: str) -> dict[str, Any] | None:
    """A line of the log; None when a crash cut it off."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
