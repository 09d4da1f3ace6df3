"""The tiny base, its ControlNets and its decoder trained further on one GPU, by the clock, with one command.

    python -m experiments.tiny.gpu all --out RUN --minutes 9
    python -m experiments.tiny.gpu all --out RUN --minutes 6 --device cpu --small    what it does, on two cores
    python -m experiments.tiny.gpu take --out RUN                                    put its results into the package

All cores but two render new scenes as long as the base trains. Then each control goes on from the one in the package on
the new base, all of them side by side with the decoder, whose encoder stays; then each is measured on held-out scenes.
Every stage has its share of the minutes; the same command goes on where it was stopped, with the stages that are left.
RUN/results holds what `take` needs: archives below 16 MB and `report.json`. `take` puts base, decoder and controls into
the package if the held-out error is lower by .001.

It needs the packages of `pyproject.toml` without the extras, and PyTorch for the GPU. Where PyTorch, transformers and
OpenCV are there already, these wheels are what is missing: diffusers, importlib-metadata, pydantic, pydantic-core,
annotated-types, typing-inspection.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.tiny.relay import BETTER, CURVE, MEMORY, ROOT, TINY, shards

ASSETS = TINY.parent
CONTROLS = ("canny", "depth", "segmentation", "pose", "scribble", "soft-edge", "normal", "lineart")
SHARES = {"base": 0.5, "controls": 0.38, "measure": 0.12}
"""Of the minutes; the decoder trains beside the controls."""
PILOT = 40
"""Steps of a control that tell how many fit into its share."""
LARGEST = 15_000_000
"""Bytes of the networks in one archive."""


class Stages:
    """What is done, and how long there is for the rest: RUN/stages.json."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.path = args, args.out / "stages.json"
        self.done: dict[str, float] = json.loads(self.path.read_text("utf-8")) if self.path.exists() else {}
        self.start = time.monotonic()
        self.left = {name: share for name, share in SHARES.items() if name not in self.done}

    def run(self, name: str, work: Callable[[float], None]) -> None:
        """Do a stage, unless it is done, in its part of the time that is left."""
        if name not in self.left:
            print(f"{name}: done before, in {self.done[name]:.0f} s", flush=True)
            return
        spent = time.monotonic() - self.start
        seconds = max(20.0, (60 * self.args.minutes - spent) * self.left[name] / sum(self.left.values()))
        print(f"{name}: {seconds:.0f} s", flush=True)
        begun = time.monotonic()
        work(seconds)
        self.left.pop(name)
        self.done[name] = round(time.monotonic() - begun, 1)
        self.path.write_text(json.dumps(self.done), "utf-8")


def launch(log: Path, *arguments: object, polite: bool = False) -> subprocess.Popen[bytes]:
    """`python -m …` as a process; what it prints goes to a log."""
    paths = (str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, **MEMORY, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [*(["nice", "-n", "5"] if polite else []), sys.executable, "-m", *(str(a) for a in arguments)]
    with log.open("ab") as out:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)


def wait(processes: Mapping[str, subprocess.Popen[bytes]], log: Callable[[str], Path], seconds: float | None = None) -> None:
    """Until all have ended; those that have not after `seconds` are asked to.

    Raises:
        SystemExit: when one fails, with the end of its log.
    """
    end = None if seconds is None else time.monotonic() + seconds
    for name, process in processes.items():
        try:
            process.wait(None if end is None else max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()  # a training finishes its step and keeps its state
            process.wait()
            continue
        if process.returncode:
            told = "\n".join(log(name).read_text("utf-8", errors="replace").splitlines()[-8:])
            raise SystemExit(f"{name} failed, the end of {log(name)}:\n{told}")


def render(args: argparse.Namespace) -> list[subprocess.Popen[bytes]]:
    """Renderers: first the scenes with all truth, of which pairs are made, then latents and captions."""
    workers = max(1, (os.cpu_count() or 1) - 2)
    common = ("experiments.tiny.prepare", "--out", args.out / "data", "--first", args.first, "--vae", TINY / "vae")
    processes: list[subprocess.Popen[bytes]] = []
    for i in range(workers):
        part = ("--workers", workers, "--worker", i)
        whole = launch(args.out / f"render-{i}.log", *common, "--count", args.pairs, *part, polite=True)
        processes.append(whole)
    wait(dict(zip(map(str, range(workers)), processes, strict=True)), lambda name: args.out / f"render-{name}.log")
    return [
        launch(args.out / f"render-{i}.log", *common, "--count", args.scenes, "--light", "--workers", workers,
               "--worker", i, polite=True)
        for i in range(workers)
    ]  # fmt: skip


def train_base(args: argparse.Namespace, seconds: float) -> None:
    """Render while the base trains, and write the pairs of the controls beside it."""
    began = time.monotonic()
    data, log = args.out / "data", args.out / "base.log"
    renderers = render(args)
    pairs = launch(args.out / "pairs.log", "experiments.tiny.pairs", "--shards", data / "train", "--out", args.out / "pairs")
    people = launch(args.out / "pairs.log", "experiments.tiny.pairs", "--shards", data / "train", "--out", args.out / "people",
                    "--kinds", "person", "person-indoors")  # fmt: skip
    minutes = max(0.5, (seconds - (time.monotonic() - began)) / 60)
    trainer = launch(log, "experiments.tiny.train_base", "--data", data, "--start", TINY, "--out", args.out / "base",
                     "--minutes", minutes, "--decay", minutes / 3, "--batch", args.batch, "--every", minutes / 5,
                     "--device", args.device)  # fmt: skip
    try:
        wait({"base": trainer}, lambda _: log)
    finally:
        for process in renderers:
            process.terminate()
    wait({"pairs": pairs, "people": people}, lambda _: args.out / "pairs.log")
    merge(args, TINY / "vae")
    print(f"  {500 * shards(data / 'train')} scenes; held-out error {held_out(args):.4f}", flush=True)


def merge(args: argparse.Namespace, vae: Path) -> None:
    """RUN/tiny: the base with the trained U-Net and text encoder."""
    wait({"assemble": launch(args.out / "assemble.log", "experiments.tiny.assemble", "--run", args.out / "base" / "best",
                             "--vae", vae, "--out", args.out / "tiny")}, lambda _: args.out / "assemble.log")  # fmt: skip


def held_out(args: argparse.Namespace) -> float:
    """The base's error."""
    return json.loads((args.out / "base" / "best.json").read_text("utf-8"))["held_out"]


def train_controls(args: argparse.Namespace, seconds: float) -> None:
    """Every control from the one in the package, and the decoder, side by side: a pilot, then as many steps as fit."""
    end = time.monotonic() + seconds

    def log(name: str) -> Path:
        return args.out / f"{name}.log"

    def training(name: str, steps: int) -> subprocess.Popen[bytes]:
        data = args.out / ("people" if name == "pose" else "pairs")
        settings = {"control": f"tiny-{name}", "optimizer": "muon", "learning_rate": 7e-4, "timesteps": "uniform",
                    "batch_size": args.control_batch, "decay_steps": max(1, steps // 2), "probe_every": 10**6,
                    "probe.count": min(16, args.count), "device": args.device}  # fmt: skip
        chosen = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        out = ("--condition", name, "--out", args.out / name, "--steps", steps)
        return launch(log(name), "zeroconv", "train", "--base", args.out / "tiny", "--data", data, *out, *chosen)

    decoder = launch(log("decoder"), "experiments.tiny.train_autoencoder", "--shards", args.out / "data" / "train",
                     "--held", args.out / "data" / "held", "--start", TINY / "vae", "--decoder-only", "--lr", 5e-4,
                     "--out", args.out / "decoder", "--steps", 10**6, "--minutes", seconds / 60 * 0.9, "--batch",
                     args.control_batch, "--device", args.device)  # fmt: skip
    wait({name: training(name, PILOT) for name in args.controls}, log)
    left = 0.8 * max(1.0, end - time.monotonic())
    steps = {name: PILOT + 1 + int(left * rate_of(log(name), args.control_batch)) for name in args.controls}
    print(f"  steps: {', '.join(f'{name} {count}' for name, count in steps.items())}", flush=True)
    wait({name: training(name, count) for name, count in steps.items()}, log, max(1.0, end - time.monotonic()))
    wait({"decoder": decoder}, log)


def rate_of(log: Path, batch: int) -> float:
    """Steps a second at the end of a training's log."""
    found = re.findall(r"([\d.]+) samples/s", log.read_text("utf-8", errors="replace"))
    return float(found[-1]) / batch if found else 1.0


def measure(args: argparse.Namespace, seconds: float) -> None:
    """Held-out scenes for every control, and the archives of RUN/results."""
    del seconds  # as long as it takes: the number of scenes is what is chosen
    weights = args.out / "weights"
    for name in args.controls:
        command = ("experiments.tiny.ship", "--run", args.out / name, "--last", "--out", weights / f"tiny-{name}")
        wait({"ship": launch(args.out / "ship.log", *command)}, lambda _: args.out / "ship.log")
    merge(args, args.out / "decoder" / "vae")
    judged = {
        name: launch(args.out / f"report-{name}.log", "zeroconv", "evaluate", "--base", args.out / "tiny", "--control",
                     weights / f"tiny-{name}", "--data", f"world:{args.count}@900000000", "--guidance", 4, "--steps", 12,
                     "--device", args.device, "--out", args.out / f"report-{name}")
        for name in args.controls
    }  # fmt: skip
    wait(judged, lambda name: args.out / f"report-{name}.log")
    pack(args)


def pack(args: argparse.Namespace) -> None:
    """The archives, each below 16 MB, and what was measured."""
    results, weights = args.out / "results", args.out / "weights"
    results.mkdir(exist_ok=True)
    with tarfile.open(results / "base.tar", "w") as archive:
        for part in ("unet", "text_encoder", "vae"):
            archive.add(args.out / "tiny" / part, part)
    folders = [weights / f"tiny-{name}" for name in args.controls]
    sizes, archives = [sum(p.stat().st_size for p in folder.iterdir()) for folder in folders], list[list[Path]]()
    room = 0
    for folder, size in zip(folders, sizes, strict=True):
        if not archives or size > room:
            archives.append([])
            room = LARGEST
        archives[-1].append(folder)
        room -= size
    for i, members in enumerate(archives):
        with tarfile.open(results / f"controls-{i}.tar", "w") as archive:
            for folder in members:
                archive.add(folder, folder.name)
    reports = {name: json.loads((args.out / f"report-{name}" / "report.json").read_text("utf-8")) for name in args.controls}
    curve = [json.loads(line) for line in (args.out / "base" / "curve.jsonl").read_text("utf-8").splitlines()]
    report: dict[str, Any] = {
        "base": json.loads((args.out / "base" / "best.json").read_text("utf-8")), "curve": curve, "device": args.device,
        "controls": {name: {key: r[key] for key in ("measure", "pictures", "controlled", "share_of_gap_closed")}
                     for name, r in reports.items()},
        "stages": json.loads((args.out / "stages.json").read_text("utf-8")),
    }  # fmt: skip
    (results / "report.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    for name, one in report["controls"].items():
        print(f"  {name}: {one['measure']} {one['controlled']['value']:.3f}, {share(one):.0%} of the gap", flush=True)


def share(report: Mapping[str, Any]) -> float:
    """Of the gap, as a report of `evaluate` has it; 0 where there is none."""
    return (report["share_of_gap_closed"] or {"value": 0.0})["value"]


def take(args: argparse.Namespace) -> None:
    """Put what is better into the package: the base with all controls, or single controls."""
    results = args.out / "results"
    report = json.loads((results / "report.json").read_text("utf-8"))
    before = json.loads(CURVE.read_text("utf-8").splitlines()[-1])["held_out"]
    gain = before - report["base"]["held_out"]
    print(f"held-out error {report['base']['held_out']:.4f}, before {before:.4f}: {'taken' if gain >= BETTER else 'left'}")
    if gain < BETTER:
        raise SystemExit(f"nothing was put into the package: the base is better by {gain:.4f}, less than {BETTER}")
    for path in sorted(results.glob("*.tar")):
        with tarfile.open(path) as archive:
            archive.extractall(TINY if path.stem == "base" else ASSETS, filter="data")
    row = {"date": f"{time.strftime('%Y-%m-%d')}", **report["base"], "thirds": report["curve"][-1]["held_out"]}
    with CURVE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def main() -> None:
    """Read the command line; do all stages, or take their results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("all", "take"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--first", type=int, default=200_000, help="seed of the first scene, a multiple of 500")
    parser.add_argument("--small", action="store_true", help="500 scenes, two controls, four pictures: for a trial")
    args = parser.parse_args()
    args.out = args.out.resolve()
    if args.what == "take":
        take(args)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = (500, 1000, 16, 8, 4) if args.small else (6500, 200_000, 512, 64, 200)
    args.pairs, args.scenes, args.batch, args.control_batch, args.count = sizes
    args.controls = CONTROLS[:2] if args.small else CONTROLS
    stages = Stages(args)
    stages.run("base", lambda seconds: train_base(args, seconds))
    stages.run("controls", lambda seconds: train_controls(args, seconds))
    stages.run("measure", lambda seconds: measure(args, seconds))
    files = [path for path in (args.out / "results").iterdir()]
    print("\n".join(f"{path}: {path.stat().st_size / 1e6:.1f} MB" for path in sorted(files)))


if __name__ == "__main__":
    main()
