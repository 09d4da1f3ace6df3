"""The losses of two short runs, kept: `python -m tests.training.record_losses` records them anew.

The last bits of a sum depend on the instructions that a processor has, so there is a file for each kind, and each file says
which version of torch and whose processor made it. Where all of them are this machine's, losses must be equal to the last
bit; elsewhere to `TOLERANCES`.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.training.pairs_folder import make_pairs
from zeroconv.training import TrainConfig, Trainer
from zeroconv.training.config.optimization import OptimizerName

FOLDER = Path(__file__).parent / "golden"
STEPS: dict[OptimizerName, int] = {"adamw": 100, "muon": 40}
TOLERANCES = {10: 1e-5, 50: 1e-3, 100: 3e-2}
"""Relative, of losses up to a step: what is rounded otherwise grows while a network learns. AVX2 and AVX-512 differ by 5e-7,
5e-5 and 5e-3 there."""
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
"""With these in its environment a process takes the instructions of a smaller processor."""


def describe_machine() -> dict[str, str]:
    """All that the last bits depend on, as far as we know."""
    vendor = platform.machine()
    if (cpus := Path("/proc/cpuinfo")).exists():
        lines = [line.partition(":")[2].strip() for line in cpus.read_text().splitlines() if line.startswith("vendor_id")]
        vendor = lines[0] if lines else vendor
    return {"capability": torch.backends.cpu.get_cpu_capability(), "torch": torch.__version__, "vendor": vendor}


def file_of(machine: dict[str, str]) -> Path:
    """Where the losses of a kind of machine are kept."""
    return FOLDER / f"losses-{machine['capability'].lower()}.json"


def compute_losses(optimizer: OptimizerName, folder: Path, until: int | None = None) -> list[float]:
    """The loss of each step of a run on the tiny base.

    Args:
        optimizer: of the run.
        folder: an empty one for the pairs and the run.
        until: the step after which it is asked to stop; it goes to its end if left out.
    """
    make_pairs(folder / "pairs")
    steps = STEPS[optimizer]
    settings: dict[str, Any] = {"data": str(folder / "pairs"), "out": folder / "run", "steps": steps, "batch_size": 2}
    small: dict[str, Any] = {"probe_count": 1, "probe_every": steps, "probe_steps": 1, "save_every": steps}
    trainer = Trainer(TrainConfig.build(base="tiny", optimizer=optimizer, **settings, **small), lambda _: None)

    def stop(*_: object) -> None:
        if trainer.done + 1 == until:
            (folder / "run" / "stop").touch()

    trainer.optimizer.register_step_post_hook(stop)
    trainer.fit()
    rows = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text("utf-8").splitlines()]
    return [loss for row in rows for loss in row.get("losses", [])]


def record() -> dict[str, Any]:
    """What a file holds, for this process."""
    torch.set_num_threads(1)
    losses: dict[str, list[float]] = {}
    for optimizer in STEPS:
        with tempfile.TemporaryDirectory() as folder:
            losses[optimizer] = compute_losses(optimizer, Path(folder))
    return {"machine": describe_machine(), "losses": losses}


def record_in(environment: dict[str, str]) -> dict[str, Any]:
    """The same in a process of its own, with some more in its environment."""
    command = [sys.executable, "-m", "tests.training.record_losses", "--print"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Write the file of this machine, and that of a smaller one."""
    if "--print" in sys.argv:
        print(json.dumps(record()))
        return
    FOLDER.mkdir(exist_ok=True)
    for environment in ({}, AVX2):
        found = record_in(environment)
        file_of(found["machine"]).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(file_of(found["machine"]))


if __name__ == "__main__":
    main()
