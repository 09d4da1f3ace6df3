"""How many samples it takes until a control has taken hold: recipes against each other, several seeds, on the tiny base.

    python -m experiments.convergence.run --out outputs/convergence
    python -m experiments.convergence.run --out outputs/convergence --recipes plain ours --seeds 0 1 2

Every run trains a ControlNet on the same 1,000 scenes, draws 32 held-out ones every 25 steps (200 samples), and ends
when 40 % of the gap between no control and the autoencoder's own limit are closed, or after `--samples`. What is counted
is where the curve between two probes passes 30 %. Runs that are done are rows of
docs/results/convergence.jsonl and are not made again; one that was stopped goes on. `report` writes the page.
On one core a run takes 5 to 15 minutes.
"""

import argparse
import json
import shutil
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from experiments.convergence.cross_normalization import cross_normalized
from experiments.convergence.recipes import CONDITIONS, NORMALIZED, RECIPES, settings

from zeroconv.training import Event, ProbeEvent, TrainConfig, train

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "docs" / "results" / "convergence.jsonl"
BATCH, PICTURES, DENOISING, EVERY, SCENES = 8, 32, 6, 25, 1000
ENOUGH = 0.4  # share of the gap


def config(args: argparse.Namespace, condition: str, recipe: str, seed: int, out: Path) -> TrainConfig:
    """The settings of one run."""
    values = {
        "data.source": str(args.out / "pairs"), "data.condition": condition, "model.base": "tiny", "checkpoint.out": str(out),
        "optimization.seed": seed, "optimization.steps": args.samples // BATCH, "optimization.batch_size": BATCH,
        "probe.count": PICTURES, "probe.every": EVERY, "probe.steps": DENOISING,
        "checkpoint.every": EVERY, **settings(condition, recipe),
    }  # fmt: skip
    return TrainConfig.build(**values)


def run(args: argparse.Namespace, condition: str, recipe: str, seed: int) -> dict[str, Any]:
    """Train until it is enough; the row of the table."""
    out = args.out / condition / f"{recipe}-{seed}"
    curve: list[tuple[int, float]] = []

    def follow(event: Event) -> None:
        if isinstance(event, ProbeEvent):
            print(f"{condition} {recipe} seed {seed}: {event.line()}", flush=True)
            if event.share >= ENOUGH:
                (out / "stop").touch()

    with cross_normalized() if recipe in NORMALIZED else nullcontext():
        train(config(args, condition, recipe, seed, out), follow)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    probes = [row for row in rows if row["event"] == "probe"]
    curve = [(row["step"] * BATCH, row["fidelity"]) for row in probes]
    return {
        "condition": condition, "recipe": recipe, "seed": seed, "samples": args.samples, "pictures": PICTURES,
        "uncontrolled": probes[0]["uncontrolled"], "ceiling": probes[0]["ceiling"], "curve": curve,
        "date": datetime.now(UTC).date().isoformat(), "torch": torch.__version__,
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }  # fmt: skip


def write_pairs(folder: Path, first: int) -> None:
    """Render the scenes once; a folder that was begun is made anew."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    scenes = ["--count", str(SCENES + PICTURES), "--first-seed", str(first), "--condition", "depth"]
    subprocess.run([sys.executable, "-m", "zeroconv", "data", "world", str(part), *scenes], check=True)
    part.rename(folder)


def main() -> None:
    """Make what is missing of the asked runs, seeds first, so that every recipe is seen early."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/convergence"))
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samples", type=int, default=4000, help="at most")
    parser.add_argument("--first", type=int, default=500_000_000, help="seed of the first scene")
    args = parser.parse_args()
    if not (args.out / "pairs").exists():
        write_pairs(args.out / "pairs", args.first)
    rows = [json.loads(line) for line in args.rows.read_text("utf-8").splitlines()] if args.rows.exists() else []
    done = {(row["condition"], row["recipe"], row["seed"]) for row in rows}
    for seed in args.seeds:
        for recipe in args.recipes:
            for condition in args.conditions:
                if (condition, recipe, seed) not in done:
                    row = run(args, condition, recipe, seed)
                    with args.rows.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
