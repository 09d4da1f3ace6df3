"""The run folder: settings, log, sheets, the network, and the state from which the same command resumes."""

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from zeroconv.checkpoints.files.atomic import read_json, replacing, sync, write_text
from zeroconv.checkpoints.files.folder_lock import FolderLock
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell
from zeroconv.publishing import save_with_card, write_readme
from zeroconv.run_files import CONFIG, LOCK, LOG, SAMPLES, parse_line
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.run_folder.checkpoints import Checkpoint, Checkpoints
from zeroconv.training.run_folder.entries import ENTRIES, HELD_OUT, SKIPPED, check_ours, is_comparable

__all__ = ["RunFolder"]

PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")
FIXED_ON_RESUME = (
    "model.base", "model.vae", "model.prediction_type", "data.source", "data.condition", "data.extract", "data.buckets",
    "data.resolution", "data.crops", "data.flip", "model.variant", "model.rank", "model.connection",
    "model.condition_encoder", "model.condition_encoder_channels", "model.control", "model.unlock_decoder",
    "optimization.batch_size", "optimization.seed", "probe.count", "optimization.optimizer",
)  # fmt: skip
"""Settings that make a run what it is; resuming with others would be another run.

`probe.count` is one of them: it says which pairs are held out, and those must never have been trained on."""
FREE_ON_RESUME = (
    "checkpoint.out", "checkpoint.track", "optimization.device", "data.workers", "optimization.accumulation",
    "parallel.shard", "data.cache",
)  # fmt: skip
"""Settings that change nothing about what is learnt; all others are said when they have changed."""


class RunFolder:
    """The files of one run.

    ```
    config.toml             the settings, as `--config` reads them
    log.jsonl               one JSON object per line: progress, probes, announcements
    samples/step-000100.png truth, map, without and with control
    controlnet/             the best network by fidelity, in the diffusers layout, or as a Control-LoRA
    state/                  the two newest states: network, optimizer and step, for resuming
    held-out.json           the pairs that are never trained on
    skipped.jsonl           the pairs that are left out because they cannot be used, each with the reason
    stop, probe, save       made by you or by `zeroconv watch`: end the run as Ctrl-C does, probe now, save the state now
    tensorboard/            event files, if the settings ask for them; trackers.json notes what trackers were told
    README.md               what this is and how to use it; README.zeroconv.md beside one of yours
    lock                    held by the process that trains
    ```

    Args:
        path: the folder.

    Attributes:
        saved: the state that was there when it was opened.
        followers: called with every line that is added to the log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / "state")
        self.saved: Checkpoint | None = None
        self.lock = FolderLock(path / LOCK, "is training in", "checkpoint.out")
        self.followers: list[Callable[[Mapping[str, Any]], None]] = []

    def open(self, config: TrainConfig, tensors: bool = True) -> None:
        """Make the folder, or check that it holds the same run.

        Args:
            config: of the run.
            tensors: whether those of its newest state are read.

        Raises:
            InputError: when another process trains in it, it holds another run, naming the first setting that differs, or files
                of another program that a run would replace.
            OSError: when it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        check_ours(self.path)
        self.lock.acquire()
        try:
            self.remove_parts()
            self.saved = self.checkpoints.load(tensors)
            self.prepare(config)
        except BaseException:
            self.lock.release()
            raise

    def remove_parts(self) -> None:
        """Remove files that a killed process was about to write."""
        for folder in (self.path, self.path / SAMPLES, self.path / "controlnet"):
            for part in folder.glob(".*.part"):
                if PART.fullmatch(part.name) and part.is_file():
                    part.unlink()

    def unlock(self) -> None:
        """Let other processes train in it, once everything is on the disk."""
        self.checkpoints.close()
        self.lock.release()

    def clear(self) -> None:
        """Remove a run, to begin anew.

        Raises:
            InputError: when another process trains in it, or its files are not those of a run.
            OSError: when something cannot be removed.
        """
        if not self.path.is_dir():
            return
        check_ours(self.path)
        self.lock.acquire()
        try:
            for path in (self.path / name for name in ENTRIES):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        finally:
            self.lock.release()

    def prepare(self, config: TrainConfig) -> None:
        """Write the settings, unless they are of another run; errors as `open`."""
        before = self.read_config()
        if before is not None:
            old, new = settings_of(before), settings_of(config)
            for path in FIXED_ON_RESUME:
                if old[path] != new[path]:
                    raise InputError(
                        f"{self.path} holds a run with {path} = {old[path]!r}, now {new[path]!r} is asked for",
                        field=path,
                        hint="choose another --out, the settings of that run, or --fresh to begin anew",
                    )
            free = {*FREE_ON_RESUME} - ({"data.cache"} if config.data.crops > 1 else set())  # which may hold other parts
            changed = [f"{path} = {new[path]} (was {old[path]})" for path in new if old[path] != new[path] and path not in free]
            if changed and self.saved is not None:
                tell(Message(f"the run goes on with other settings: {', '.join(changed)}", "run.other-settings", "info"))
        (self.path / SAMPLES).mkdir(parents=True, exist_ok=True)
        write_text(self.path / CONFIG, config.to_toml())

    def read_config(self) -> TrainConfig | None:
        """The settings of the run in the folder; None when there is none. Those of its state, if its file is damaged.

        Raises:
            InputError: when neither can be read.
        """
        try:
            if (self.path / CONFIG).is_file() and (self.path / CONFIG).stat().st_size:
                return TrainConfig.build(self.path / CONFIG)
        except InputError:
            if self.saved is None:
                raise
        if self.saved is None:
            return None
        tell(Message(f"{self.path / CONFIG} is damaged: the settings of the newest state are taken", "run.damaged-settings"))
        return TrainConfig.parse(self.saved.facts["config"])

    def earlier_settings(self) -> TrainConfig | None:
        """The settings of the run that is in the folder, before it is opened; None when there is none, or they are damaged."""
        with suppress(InputError):
            return TrainConfig.build(self.path / CONFIG)
        return None

    def read_held_out(self) -> list[str] | None:
        """Names of the pairs that the run holds out; None for a new run.

        Raises:
            InputError: when the file is damaged.
        """
        path = self.path / HELD_OUT
        if not path.exists():
            return None
        try:
            return [str(name) for name in read_json(path)["names"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error})", field="checkpoint.out", hint="begin anew with --fresh") from error

    def write_held_out(self, names: Sequence[str], pairs: int) -> None:
        """Keep the names of the pairs that are held out, and how many there are in all; say when there were more or less."""
        path = self.path / HELD_OUT
        before = pairs if not path.exists() else read_json(path).get("pairs", pairs)
        if before != pairs:
            text = f"the data set has {pairs} pairs and had {before}: from here on they are seen in another order"
            tell(Message(text, "data.other-count"))
        write_text(path, json.dumps({"names": list(names), "pairs": pairs}, ensure_ascii=False))

    def write_skipped(self, rows: Sequence[tuple[str, str]]) -> None:
        """Keep the pairs that are left out, each with the reason; no file where there are none."""
        if rows:
            lines = (json.dumps({"name": name, "problem": problem}, ensure_ascii=False) for name, problem in rows)
            write_text(self.path / SKIPPED, "".join(f"{line}\n" for line in lines))
        else:
            (self.path / SKIPPED).unlink(missing_ok=True)

    def log(self, kind: str, step: int, **values: Any) -> None:
        """Add a line to the log."""
        row = {"event": kind, "step": step, **values}
        try:
            with (self.path / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise OSError(f"cannot write {self.path / LOG}: {error.strerror}") from error
        for follow in self.followers:
            follow(row)

    def sync_log(self) -> None:
        """Wait until the lines so far are on the disk."""
        if (self.path / LOG).exists():
            sync(self.path / LOG)

    def rewind_log(self, step: int) -> list[dict[str, Any]]:
        """Drop what was logged after `step` (an interrupted run repeats it); the lines that remain."""
        path = self.path / LOG
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
        made: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the network as the run's result, with the sheet of its probe and a model card.

        Args:
            network: the best so far.
            step: at which it was probed.
            fidelity: of the probe.
            sheet: the picture of the probe's samples.
            metrics: what the card says was measured.
            licence: of the network.
            made: how the pictures of its probe were made.
        """
        folder = self.path / "controlnet"
        folder.mkdir(exist_ok=True)
        with replacing(folder / "samples.png") as part:
            shutil.copyfile(sheet, part)
        save_with_card(network, folder, metrics=metrics, samples="samples.png", licence=licence)
        write_text(folder / "probe.json", json.dumps({"step": step, "fidelity": fidelity, **(made or {})}))

    def read_best(self, made: Mapping[str, Any] | None = None) -> float:
        """Fidelity of the network kept so far; below any when there is none.

        Args:
            made: how pictures are made now; a fidelity of pictures that were made otherwise is below any, too.
        """
        try:
            found = read_json(self.path / "controlnet" / "probe.json")
            return float(found["fidelity"]) if is_comparable(found, made or {}) else -1.0
        except (OSError, ValueError, KeyError, TypeError):  # none, or damaged: the next probe writes it anew
            return -1.0

    def write_readme(self, config: TrainConfig, text: str) -> None:
        """Say what the folder holds and the exact command that uses it."""
        base, condition = config.model.base, config.data.condition
        opens = "opens in diffusers by the lines in its `README.md`"
        if config.model.unlock_decoder:
            opens = (
                "holds the control together with the base's decoder that was trained with it; diffusers has no class for that"
            )
        if config.model.variant == "lora":
            opens = f"holds a Control-LoRA, offsets from {base}, which other tools open too"
        write_readme(
            self.path,
            f"# A ControlNet for {condition} on {base}\n\n{text}\n\n"
            "```\n"
            f'zeroconv generate --base {base} --control {self.path} --image photo.png --prompt "…" --out pictures\n'
            f"zeroconv evaluate --base {base} --control {self.path} --data {evaluation_data(config)} --out report\n"
            "```\n\n"
            f"`controlnet/` {opens}. `samples/` has the sheet of every probe, `log.jsonl` every number, `config.toml` the\n"
            "settings. Pairs named in `held-out.json` were not trained on, all others were: evaluate on pairs that are new.\n\n"
            "```\n"
            f"zeroconv watch {self.path}\n"
            f"zeroconv train --config {self.path / CONFIG}\n"
            "```\n\n"
            "The first shows the run on a page, while it goes on and afterwards; the second resumes it. A file called `stop`,\n"
            "`probe` or `save` in this folder ends the run after its step, probes then, or saves its state then.\n",
        )


def evaluation_data(config: TrainConfig) -> str:
    """Pairs to evaluate on that were not trained on: scenes that every training leaves out, or a place to put a name."""
    return "world:200@900000000" if config.data.source.startswith("world:") else "NEW-PAIRS"


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Every setting by its full name, such as "probe.every"."""
    return {f"{group}.{name}": value for group, values in config for name, value in values}
