"""The run folder: settings, log, sheets, the network, and the state from which the same command resumes."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.atomic import replacing, write_text
from zeroconv.control import ControlNet
from zeroconv.publishing import save_with_card
from zeroconv.training.config import TrainConfig

__all__ = ["RunFolder"]

IDENTITY = (
    "base", "vae", "prediction_type", "data", "condition", "extract", "variant", "rank", "connection", "condition_encoder",
    "condition_encoder_channels",
    "control", "batch_size", "seed", "probe_count", "optimizer",
)  # fmt: skip
"""Settings that make a run what it is; resuming with others would be another run.

`probe_count` is one of them: it says which pairs are held out, and those must never have been trained on."""


class RunFolder:
    """The files of one run.

    ```
    config.toml             the settings, as `--config` reads them
    log.jsonl               one JSON object per line: progress, probes, announcements
    samples/step-000100.png truth, map, without and with control
    controlnet/             the best network by fidelity, in the diffusers layout, or as a Control-LoRA
    state/                  the newest network, the optimizer and the step, for resuming
    README.md               what this is and how to use it
    ```

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, config: TrainConfig) -> None:
        """Make the folder, or check that it holds the same run.

        Raises:
            ValueError: when it holds another run, naming the first setting that differs.
            OSError: when it cannot be written.
        """
        settings = self.path / "config.toml"
        if settings.exists():
            before = TrainConfig.build(settings)
            for name in IDENTITY:
                old, new = getattr(before, name), getattr(config, name)
                if old != new:
                    raise ValueError(
                        f"{self.path} holds a run with {name} = {old!r}, now {new!r} is asked for: "
                        "choose another --out, or the settings of that run"
                    )
        (self.path / "samples").mkdir(parents=True, exist_ok=True)
        write_text(settings, config.to_toml())

    def log(self, kind: str, step: int, **values: Any) -> None:
        """Add a line to the log."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": kind, "step": step, **values}) + "\n")

    def rewind_log(self, step: int) -> list[dict[str, Any]]:
        """Drop what was logged after `step` (an interrupted run repeats it); the lines that remain."""
        path = self.path / "log.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        kept = [row for row in map(parse, lines) if row is not None and row["step"] <= step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
        return kept

    def save_state(self, network: ControlNet, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Write what resuming needs; `step.json` comes last and names the files that belong together."""
        folder = self.path / "state"
        folder.mkdir(exist_ok=True)
        name = f"step-{step:07d}.safetensors"
        tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
        for index, moments in optimizer.state_dict()["state"].items():
            tensors.update({f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in moments.items()})
        write_safetensors(folder / name, tensors)
        write_text(folder / "step.json", json.dumps({"step": step, "file": name}))
        for old in folder.glob("step-*.safetensors"):
            if old.name != name:
                old.unlink()

    def load_state(self, network: ControlNet, optimizer: torch.optim.Optimizer) -> int:
        """Fill network and optimizer from the newest state; the step reached, 0 when there is none."""
        pointer = self.path / "state" / "step.json"
        if not pointer.exists():
            return 0
        found = json.loads(pointer.read_text("utf-8"))
        tensors = read_safetensors(pointer.with_name(found["file"]))
        weights = {key.removeprefix("network."): t for key, t in tensors.items() if key.startswith("network.")}
        network.load_state_dict(weights)
        state: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return int(found["step"])

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

    def best(self) -> float:
        """Fidelity of the network kept so far; below any when there is none."""
        path = self.path / "controlnet" / "probe.json"
        return float(json.loads(path.read_text("utf-8"))["fidelity"]) if path.exists() else -1.0

    def write_readme(self, config: TrainConfig, text: str) -> None:
        """Say what the folder holds and the exact command that uses it."""
        opens = "opens in diffusers with `ControlNetModel.from_pretrained`"
        if config.variant == "lora":
            opens = f"holds a Control-LoRA, offsets from {config.base}, which other tools open too"
        write_text(
            self.path / "README.md",
            f"# A ControlNet for {config.condition} on {config.base}\n\n{text}\n\n"
            "```\n"
            f'zeroconv generate --base {config.base} --control {self.path} --image photo.png --prompt "…" --out pictures\n'
            f"zeroconv evaluate --base {config.base} --control {self.path} --data {config.data} --out report\n"
            "```\n\n"
            f"`controlnet/` {opens}. The newest probe is in `samples/`.\n",
        )


def parse(line: str) -> dict[str, Any] | None:
    """A line of the log; None when a crash cut it off."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
