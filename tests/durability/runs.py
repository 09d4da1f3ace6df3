"""Runs of a nano base in processes that can be killed."""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zeroconv.training.run_folder.checkpoints import Checkpoints

ROOT = Path(__file__).parents[2]
STEPS = 8
QUIET = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Cell:
    """How a run is trained."""

    processes: int = 1
    workers: int = 0
    accumulation: int = 1
    ema_decay: float = 0.0
    optimizer: str = "adamw"
    shard: str = "none"
    precision: str = "fp32"

    def __str__(self) -> str:
        kinds = f"{self.optimizer}-{self.precision}-shard-{self.shard}-{'ema' if self.ema_decay else 'plain'}"
        return f"{self.processes}-{kinds}-workers{self.workers}-parts{self.accumulation}"


@dataclass
class Zygote:
    """The process that forks trainers."""

    base_folder: Path
    process: "subprocess.Popen[str]" = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "tests.durability.zygote", str(self.base_folder)]
        environment = {**os.environ, **QUIET}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
        assert self.process.stdout is not None and self.process.stdout.readline() == "0\n"

    def ask(self, command: dict[str, Any]) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return int(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@dataclass
class Run:
    """One run folder, started as often as it takes."""

    zygote: Zygote
    data: Path
    folder: Path
    cell: Cell
    started: list[int] = field(default_factory=list[int])

    @property
    def out(self) -> Path:
        return self.folder / "run"

    def copy(self, folder: Path, cell: Cell) -> "Run":
        """Another run that goes on from where this one is."""
        shutil.copytree(self.out, folder / "run")
        return Run(self.zygote, self.data, folder, cell)

    def start(self, cell: Cell | None = None, **changed: Any) -> None:
        """Begin, or go on, in as many processes as the cell says."""
        cell = cell or self.cell
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "base": str(self.zygote.base_folder), "data": str(self.data), "out": str(self.out), "steps": STEPS, "batch_size": 6,
            "probe_count": 2, "probe_every": 4, "probe_steps": 1, "save_every": 1, "warmup_steps": 2, "timesteps": "uniform",
            "workers": cell.workers, "accumulation": cell.accumulation, "ema_decay": cell.ema_decay,
            "optimizer": cell.optimizer, "shard": cell.shard, "precision": cell.precision, "device": "cpu", **changed,
        }  # fmt: skip
        port = free_port()
        for rank in range(cell.processes):
            group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(cell.processes)}
            environment = {**group, "RANK": str(rank), "LOCAL_RANK": str(rank)} if cell.processes > 1 else {}
            log = str(self.folder / "output.txt")
            self.started.append(self.zygote.ask({"settings": settings, "environment": environment, "log": log}))

    def wait(self) -> list[int]:
        """How the processes ended."""
        codes = [self.zygote.ask({"wait": pid}) for pid in self.started]
        self.started.clear()
        return codes

    def kill(self, drawn: random.Random) -> bool:
        """Kill one process, then the others, as `torchrun` does; whether the run was still going on."""
        for pid in drawn.sample(self.started, len(self.started)):
            os.kill(pid, signal.SIGKILL)
        return any(code != 0 for code in self.wait())

    def finish(self, **changed: Any) -> None:
        """Go on to the end.

        Raises:
            AssertionError: with what was printed, when it fails.
        """
        self.start(**changed)
        codes = self.wait()
        assert codes == [0] * self.cell.processes, (codes, self.output())

    def output(self) -> str:
        path = self.folder / "output.txt"
        return path.read_text()[-3000:] if path.exists() else ""

    def kill_until(self, kills: int, longest: float, drawn: random.Random) -> int:
        """Start and kill after a random time, so many times or until the run is over; how often it was killed."""
        for number in range(kills):
            self.start()
            time.sleep(drawn.uniform(0, longest))
            if not self.kill(drawn):
                return number
        return kills

    def fingerprint(self) -> dict[str, Any]:
        """All that must not depend on what happened: the state's SHA-256, losses and norms of every step, the probes."""
        found = Checkpoints(self.out / "state").load()
        assert found is not None and found.step == STEPS, self.output()
        content = hashlib.sha256()
        for name in sorted(found.tensors):
            content.update(name.encode() + found.tensors[name].numpy().tobytes())
        rows = [json.loads(line) for line in (self.out / "log.jsonl").read_text().splitlines()]
        return {
            "state": content.hexdigest(),
            "losses": [loss for row in rows for loss in row.get("losses", [])],
            "norms": [norm for row in rows for norm in row.get("gradient_norms", [])],
            "probes": [(row["step"], row["fidelity"]) for row in rows if row["event"] == "probe"],
            "sheets": {path.name: hash_file(path) for path in sorted((self.out / "samples").iterdir())},
            "best": hash_file(next((self.out / "controlnet").glob("*.safetensors"))),
        }

    def gradients(self) -> dict[tuple[int, int], set[str]]:
        """The hashes of every process's gradients at every step, of all tries."""
        found: dict[tuple[int, int], set[str]] = {}
        for path in self.folder.glob("gradients-*.jsonl"):
            rank = int(path.stem.partition("-")[2])
            for line in path.read_text().splitlines():
                if line.endswith("]"):  # a killed process may leave half a line
                    step, digest = json.loads(line)
                    found.setdefault((rank, step), set()).add(digest)
        return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
