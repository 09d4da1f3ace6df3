"""Train the baselines under one budget, make pictures of held-out scenes with each, measure them, and write the tables.

    python -m experiments.baselines.run --out outputs/baselines --minutes 2 --seeds 0 1 2 --scenes 64 --workers 2
    python -m experiments.baselines.run --out outputs/baselines --minutes 2 --methods controlnet controlnet-lite
    python -m experiments.baselines.run --out outputs/baselines --minutes 2 --only measure --report

What is done is not done again, and after a kill at any second the same command goes on. Every training is a process of its
own with one thread, `--workers` of them at a time, each on its own core. `--report` writes docs/results/baselines.md and
its sheet from what was measured. For each method and seed it takes the minutes of the budget, about one more for 64
pictures with and without a prompt (some five for the guidance by sketches, which goes back through its predictor in every
step), and ten seconds to measure them; before that two minutes to render 2,000 scenes.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from experiments.baselines.common import Budget, Case, Pairs, load_cases, open_tiny_base
from experiments.baselines.measuring import measure
from experiments.baselines.methods import METHODS, UNTRAINED
from experiments.baselines.phases import phases_of, total
from experiments.baselines.pictures import is_written, write_cases, write_pictures, write_reference

from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.evaluation.samples import reconstruct

__all__ = ["PROMPTS", "main"]

PROMPTS = ("caption", "none")
NOISE = 0  # seed of the noise of case 0, the same for all methods and seeds of a training
STAGES = ("train", "generate", "measure")
LIMITS = ("reconstruction", "truth")
"""What no method can be expected to pass: the true pictures through the autoencoder, and themselves."""


def parse_arguments() -> argparse.Namespace:
    """The options; those of the budget are the same in all calls with one `--out`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/baselines"))
    parser.add_argument("--minutes", type=float, default=2.0, help="of one thread, for each training")
    parser.add_argument("--pairs", type=int, default=2000, help="scenes to train on")
    parser.add_argument("--scenes", type=int, default=64, help="held-out ones")
    parser.add_argument("--references", type=int, default=400, help="scenes that sets are compared with")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    parser.add_argument("--only", choices=STAGES, help="this stage alone")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time, each in one thread")
    parser.add_argument("--report", action="store_true", help="write docs/results/baselines.md from what was measured")
    parser.add_argument("--job", nargs=2, metavar=("METHOD", "SEED"), help=argparse.SUPPRESS)  # this one, in this process
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name in ("minutes", "pairs", "scenes", "references", "workers"):
        if not (number := getattr(args, name)) > 0:
            parser.error(f"--{name} is {number}; expected more than 0")
    return args


def main() -> None:
    """Do what is missing of what is asked for."""
    args = parse_arguments()
    if args.job:
        if args.core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {args.core})
        run_job(args, args.job[0], int(args.job[1]))
        return
    check_settings(args)
    jobs = [(name, seed) for seed in args.seeds for name in args.methods if seed == args.seeds[0] or name not in UNTRAINED]
    prepare(args)
    run_jobs(args, [job for job in jobs if not is_finished(args, *job)])
    write_table(args.out)
    if args.report:
        from experiments.baselines.report import write_report

        write_report(args.out)


def check_settings(args: argparse.Namespace) -> None:
    """Note what all trainings of a folder share, or refuse another value of it."""
    path, asked = args.out / "settings.json", {name: getattr(args, name) for name in ("minutes", "pairs", "references")}
    if path.exists():
        before = json.loads(path.read_text("utf-8"))
        if before != asked:
            sys.exit(f"{args.out} was begun with {before}, and {asked} is asked for: name another --out")
        return
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(asked))


def prepare(args: argparse.Namespace) -> None:
    """Render what several methods need, and measure the limits."""
    if args.only in (None, "train"):
        Pairs.load(args.out / "data", args.pairs, args.workers)
    if args.only == "train":
        return
    pictures, cases = args.out / "pictures", load_cases(args.scenes)
    write_cases(pictures, cases)
    write_reference(args.out / "reference", args.references)
    if not is_written(pictures / LIMITS[0], cases):
        base = open_tiny_base()
        write_pictures(
            pictures / LIMITS[0], cases, "segmentation", NOISE, lambda part: reconstruct(base, [c.image for c in part]), {}
        )
    for name in LIMITS if args.only in (None, "measure") else ():
        path = args.out / "measured" / f"{name}.json"
        if not is_measured(path, args.scenes):
            keep_row(path, {"method": name, "prompt": "caption", "scenes": args.scenes}, args, "segmentation", pictures / name)


def run_jobs(args: argparse.Namespace, jobs: list[tuple[str, int]]) -> None:
    """One process for each job, `--workers` at a time, each on a core of its own where there are as many."""
    free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    for worker in range(args.workers):
        free.put(cores[worker] if args.workers <= len(cores) else None)

    def run(job: tuple[str, int]) -> int:
        core = free.get()
        shared = [f"--{name}={getattr(args, name)}" for name in ("out", "minutes", "pairs", "scenes", "references")]
        only = [f"--only={args.only}"] if args.only else []
        pinned = [] if core is None else [f"--core={core}"]
        command = [sys.executable, "-m", "experiments.baselines.run", *shared, *only, *pinned, "--job", job[0], str(job[1])]
        try:
            return subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False).returncode
        finally:
            free.put(core)

    with ThreadPoolExecutor(args.workers) as pool:
        failed = [job for job, code in zip(jobs, pool.map(run, jobs), strict=True) if code]
    if failed:
        write_table(args.out)
        sys.exit(f"failed: {failed}; the same command tries them again")


def places(args: argparse.Namespace, name: str, seed: int) -> tuple[Path, dict[str, tuple[Path, Path]]]:
    """Where a training lies, and by prompt where its pictures and its row do."""
    stems = {prompt: f"{name}-{seed}-{prompt}" for prompt in PROMPTS}
    results = {prompt: (args.out / "pictures" / stem, args.out / "measured" / f"{stem}.json") for prompt, stem in stems.items()}
    return args.out / "trained" / name / f"seed-{seed}", results


def is_measured(path: Path, scenes: int) -> bool:
    """Whether a row of so many scenes is there."""
    return path.exists() and json.loads(path.read_text("utf-8"))["scenes"] == scenes


def is_finished(args: argparse.Namespace, name: str, seed: int) -> bool:
    """Whether nothing is left to do of what is asked for."""
    folder, results = places(args, name, seed)
    if args.only == "train":
        return (folder / "trained.json").exists()
    return args.only != "generate" and all(is_measured(path, args.scenes) for _, path in results.values())


def run_job(args: argparse.Namespace, name: str, seed: int) -> None:
    """Train a method with a seed, generate with and without prompts, and measure."""
    torch.set_num_threads(1)
    method, (folder, results) = METHODS[name], places(args, name, seed)
    trained = folder / "trained.json"
    if args.only in (None, "train") and not trained.exists():
        folder.mkdir(parents=True, exist_ok=True)
        method.train(folder, Pairs.load(args.out / "data", args.pairs), Budget(60 * args.minutes, seed=seed))
        done = total(list(phases_of(folder).values()))
        write_text(trained, json.dumps({name: getattr(done, name) for name in ("steps", "samples", "seconds", "parameters")}))
        print(f"{name}, seed {seed}: {done.seconds:.0f} s, {done.samples} samples", flush=True)
    if args.only == "train":
        return
    cases = load_cases(args.scenes)
    for prompt, (pictures, row) in results.items():
        asked = cases if prompt == "caption" else [case.without_prompt() for case in cases]
        if args.only in (None, "generate"):
            generate_missing(name, folder, pictures, asked, method.condition)
        if args.only in (None, "measure") and not is_measured(row, args.scenes):
            named = {"method": name, "seed": seed, "prompt": prompt, "scenes": args.scenes, "minutes": args.minutes}
            training = json.loads(trained.read_text("utf-8"))
            keep_row(row, {**named, "pairs": args.pairs, **training}, args, method.condition, pictures)
            print(f"{name}, seed {seed}, prompt {prompt}: measured", flush=True)


def generate_missing(name: str, folder: Path, pictures: Path, cases: list[Case], condition: str) -> None:
    """The pictures of a method that are not there yet."""
    if not is_written(pictures, cases):
        method = METHODS[name]
        write_pictures(pictures, cases, condition, NOISE, lambda part: method.generate(folder, part, NOISE), method.sampling)


def keep_row(path: Path, named: dict[str, Any], args: argparse.Namespace, condition: str, pictures: Path) -> None:
    """Measure a folder and write its row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = named | measure(pictures, args.out / "reference", condition, named["prompt"] == "caption")
    row |= {"date": datetime.now(UTC).date().isoformat(), "torch": torch.__version__}
    write_text(path, json.dumps(row | {"cpu": torch.backends.cpu.get_cpu_capability()}))


def write_table(out: Path) -> None:
    """`table.jsonl`: every row that was measured."""
    rows = [path.read_text("utf-8") for path in sorted((out / "measured").glob("*.json"))]
    if rows:
        write_text(out / "table.jsonl", "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
