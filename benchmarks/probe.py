"""What the parts of a probe cost, in steps of the training that they interrupt: processor time of one core.

python benchmarks/probe.py                       the tiny base, 32 pairs: two minutes
python benchmarks/probe.py --count 8 --steps 10  as probes were made before
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

STEPS = 8  # of training that are timed


def seconds(do: Callable[[], object]) -> float:
    """Processor time of a call."""
    begun = time.process_time()
    do()
    return time.process_time() - begun


def main() -> None:
    """Time a few steps of the default run, then each part of a probe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=32, help="held-out pairs")
    parser.add_argument("--steps", type=int, default=6, help="denoising steps")
    args = parser.parse_args()

    from zeroconv.training import TrainConfig, Trainer

    with tempfile.TemporaryDirectory() as folder:
        data = f"world:{args.count + 64}"
        config = TrainConfig.build(data=data, out=folder, probe_count=args.count, probe_steps=args.steps)
        trainer = Trainer(config, lambda _: None)
        probe, steps = trainer.probe, trainer.optimize()
        next(steps)  # the first one encodes and allocates
        step = statistics.median(seconds(lambda: next(steps)) for _ in range(STEPS))
        loss = probe.held_out_loss
        assert loss is not None
        loss(trainer.network)  # encodes the pairs, once in a run
        parts: dict[str, Callable[[], object]] = {
            "pictures with prompts": lambda: probe.run(trainer.network),
            "pictures without prompts": lambda: probe.run(trainer.network, prompts=False),
            "held-out loss": lambda: loss(trainer.network),
        }
        taken = {name: seconds(do) / step for name, do in parts.items()}
        marks = seconds(lambda: (probe.run(None), probe.ceiling())) / step
        trainer.folder.unlock()
    for name, cost in taken.items():
        print(f"{name:26} {cost:5.1f} steps")
    whole, every = sum(taken.values()), config.probe.every
    print(f"{'a probe':26} {whole:5.1f} steps, {whole / (every + whole):.1%} of the time with one every {every}")
    print(f"{'both marks, at each start':26} {marks:5.1f} steps")


if __name__ == "__main__":
    main()
