"""The tiny base by one thread and by all: seconds of pictures and of a training step, on an idle machine and a busy one.

    python benchmarks/threads.py

Each way is a process of its own, in turn: threads wait asleep (`OMP_WAIT_POLICY=PASSIVE`), or spin for a moment, as the
command line asks for, or longer (`GOMP_SPINCOUNT`). "Busy" is a process with one thread beside them that computes all the time.
Four minutes on two cores; nothing else should run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

from zeroconv.cli import HOW, WAITING

WAYS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "all, asleep": {"OMP_WAIT_POLICY": "PASSIVE"},
    "all, spinning a moment": dict(HOW),
    "all, spinning": {"GOMP_SPINCOUNT": "10000"},
}
BARE = {name: value for name, value in os.environ.items() if name not in WAITING}
STEPS, FEW = 20, 2
PATIENCE = 60.0  # seconds for one measurement


def usual_seconds(do: Callable[[], object], rounds: int) -> float:
    """Seconds of the median call; no more calls than there is patience for."""
    taken, begun = list[float](), time.perf_counter()
    while len(taken) < rounds and time.perf_counter() - begun < PATIENCE:
        started = time.perf_counter()
        do()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def measure(rounds: int) -> None:
    """Print seconds of two controlled pictures, and of a training step of 8 samples, in this process."""
    from PIL import Image

    from zeroconv.conditions import extract
    from zeroconv.control import ControlNet
    from zeroconv.generation import BaseRequest, Control, ControlPipeline, open_base
    from zeroconv.runtime import threads
    from zeroconv.training import TrainConfig, Trainer
    from zeroconv.world import make

    threads.WIDTH = 0  # as many threads as there are
    base, scene = open_base(BaseRequest(name="tiny", device="cpu")), make(900_000_000)
    pipeline = ControlPipeline(base)
    network, seen = ControlNet.from_pretrained("tiny-canny", unet=base.unet), Image.fromarray(scene.rgb)

    def picture(side: int, steps: int) -> None:
        control = Control(network, [extract("canny", seen.resize((side, side)))])
        pipeline(scene.caption, [control], seed=0, num_inference_steps=steps, guidance_scale=4.0, size=side)

    for side, steps in ((128, STEPS), (512, FEW)):
        picture(side, steps)
        print(usual_seconds(partial(picture, side, steps), rounds), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(TrainConfig.build(data="world:40", out=folder, probe_count=8, batch_size=8), lambda _: None)
        steps = trainer.optimize()
        next(steps)
        print(usual_seconds(lambda: next(steps), rounds), flush=True)
        trainer.folder.unlock()


def main() -> None:
    """Measure every way on an idle machine and on a busy one, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)  # in this process
    args = parser.parse_args()
    if args.measure:
        measure(args.rounds)
        return
    print(f"| machine | threads | 128 px, {STEPS} steps, s | 512 px, {FEW} steps, s | a training step, s |\n{'|---' * 5}|")
    for machine in ("idle", "busy"):
        for way, environment in WAYS.items():
            other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if machine == "busy" else None
            try:
                command = [sys.executable, __file__, "--measure", "--rounds", str(args.rounds)]
                done = subprocess.run(command, env=BARE | environment, capture_output=True, text=True, check=True)
            finally:
                if other is not None:
                    other.kill()
            print(f"| {machine} | {way} | {' | '.join(f'{float(line):.2f}' for line in done.stdout.split())} |", flush=True)


if __name__ == "__main__":
    main()
