"""Train the tiny base on, by whoever has cores to spare: one command renders, encodes, trains, measures and hands over.

    python -m experiments.tiny.relay --out runs/relay --until 02:10
    python -m experiments.tiny.relay --out runs/relay --minutes 60 --cores 0 1 --ship

One process a core, pinned: the last core trains, the others render and encode new scenes; on a single core rendering
has the lower priority. Stopped at any second, the same command goes on. It begins from `--start` (the base in the
package) and falls to a rate of zero over the last `--decay` minutes, a quarter of the time if left out. At the end it
says how the held-out error compares with the start's; `--ship` puts the new base into the package if it is better by
.001, and adds a row to docs/results/tiny-relay.jsonl: commit both. The ControlNets go on working on a base that moved
this little, and gain from a few minutes of training on it (`zeroconv train --set control=tiny-canny …`).

On one core of a Zen 5 processor (AVX512-BF16): about 55 samples a second alone, on one of an Intel Xeon without AMX 22, and
a scene is seen about five times.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = ROOT / "src" / "zeroconv" / "assets" / "tiny"
CURVE = ROOT / "docs" / "results" / "tiny-relay.jsonl"
BETTER = 0.001  # of held-out error; less does not pay for another copy of the weights
FIRST_SHARDS = 8  # with which training begins
MEMORY = {  # freed tensors are kept for the next step: 20 % of a step was spent in the kernel without it
    "MALLOC_MMAP_THRESHOLD_": "536870912", "MALLOC_TRIM_THRESHOLD_": "536870912", "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1",
}  # fmt: skip


def start(core: int, log: Path, module: str, *arguments: object, polite: bool = False) -> subprocess.Popen[bytes]:
    """A module of these experiments as a process on one core; what it prints goes to a log."""

    def settle() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {core})
        os.nice(5 if polite else 0)

    command = [sys.executable, "-m", f"experiments.tiny.{module}", *(str(argument) for argument in arguments)]
    with log.open("ab") as out:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, **MEMORY}, stdout=out, stderr=out, preexec_fn=settle)


def render(args: argparse.Namespace) -> list[subprocess.Popen[bytes]]:
    """The renderers: one for each core but the last, or one beside the trainer."""
    cores = args.cores[:-1] or args.cores
    common = ("--out", args.out / "data", "--first", args.first, "--count", args.scenes, "--vae", args.start / "vae", "--light")
    return [
        start(core, args.out / f"render-{i}.log", "prepare", *common, "--workers", len(cores), "--worker", i,
              polite=len(args.cores) == 1)
        for i, core in enumerate(cores)
    ]  # fmt: skip


def shards(folder: Path) -> int:
    """How many shards are whole."""
    return sum(path.stem.isdigit() for path in folder.glob("*.npz"))


def wait_for_shards(args: argparse.Namespace, renderers: list[subprocess.Popen[bytes]]) -> None:
    """Until there are enough scenes to begin with, and the held-out ones.

    Raises:
        SystemExit: when a renderer fails.
    """
    data = args.out / "data"
    while shards(data / "held") < 1 or shards(data / "train") < min(FIRST_SHARDS, args.scenes // 500):
        if any(process.poll() for process in renderers):
            raise SystemExit(f"rendering failed: see {args.out / 'render-0.log'}")
        time.sleep(1)


def minutes_until(text: str) -> float:
    """Minutes to the next HH:MM, UTC."""
    now = datetime.now(UTC)
    hour, minute = (int(part) for part in text.split(":"))
    return ((hour * 60 + minute) - (now.hour * 60 + now.minute + now.second / 60)) % 1440


def hand_over(args: argparse.Namespace) -> None:
    """Say what was reached; with `--ship`, put a better base and its row into the repository."""
    best = json.loads((args.out / "best.json").read_text("utf-8"))
    rows = [json.loads(line) for line in (args.out / "curve.jsonl").read_text("utf-8").splitlines()]
    before = json.loads(CURVE.read_text("utf-8").splitlines()[-1])["held_out"] if CURVE.exists() else None
    gain = None if before is None else before - best["held_out"]
    print(f"held-out error {best['held_out']:.4f}, {best['weights']} weights, {best['samples']} samples; before: {before}")
    if not args.ship or (gain is not None and gain < BETTER):
        print(f"not shipped: {'--ship was not given' if not args.ship else f'better by {gain:.4f}, less than {BETTER}'}")
        return
    merged = args.out / "tiny"
    command = ["-m", "experiments.tiny.assemble", "--run", str(args.out / "best"), "--vae", str(args.start / "vae")]
    subprocess.run([sys.executable, *command, "--out", str(merged)], cwd=ROOT, check=True)
    for part in ("unet", "text_encoder"):
        for path in (merged / part).glob("*.safetensors"):
            shutil.copyfile(path, TINY / part / path.name)
    row = {"date": f"{datetime.now(UTC):%Y-%m-%d}", **best, "scenes": rows[-1]["scenes"], "thirds": rows[-1]["held_out"]}
    with CURVE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"shipped: {TINY} and a row of {CURVE}")


def main() -> None:
    """Render and train until the time is over, then hand over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", help="HH:MM, UTC")
    end.add_argument("--minutes", type=float)
    parser.add_argument("--decay", type=float, help="minutes; a quarter of the time if left out")
    parser.add_argument("--cores", type=int, nargs="+", default=[max(0, (os.cpu_count() or 1) - 1)])
    parser.add_argument("--start", type=Path, default=TINY)
    parser.add_argument(
        "--first",
        type=int,
        default=0,
        help="seed of the first scene; take one that was not trained on yet: docs/results/tiny.md",
    )
    parser.add_argument("--scenes", type=int, default=100_000, help="at most")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--ship", action="store_true")
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    minutes = minutes_until(args.until) if args.until else args.minutes
    until = args.until or f"{datetime.fromtimestamp(time.time() + 60 * minutes, UTC):%H:%M}"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; the same command goes on"))
    processes = render(args)
    try:
        wait_for_shards(args, processes)
        decay = minutes / 4 if args.decay is None else args.decay
        places = ("--data", args.out / "data", "--start", args.start.resolve(), "--out", args.out)
        times = ("--until", until, "--decay", decay, "--batch", args.batch)
        trainer = start(args.cores[-1], args.out / "train.log", "train_base", *places, *times)
        processes.append(trainer)
        print(f"training until {until}; follow it with: tail -f {args.out / 'train.log'}", flush=True)
        if trainer.wait():
            raise SystemExit(f"training failed: see {args.out / 'train.log'}")
    finally:
        for process in processes:
            process.terminate()
    hand_over(args)


if __name__ == "__main__":
    main()
