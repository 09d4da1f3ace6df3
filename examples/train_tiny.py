"""Train a ControlNet for Canny edges on the tiny world, through the library.

    python examples/train_tiny.py [--steps 1500 --out runs/example]

Hardware: two CPU cores. Time: 10 to 20 minutes for 1,500 steps of 8. Expected: for some hundred steps nothing seems to
happen; then, between two probes, the control takes hold and the program says so. The same command again resumes.
"""

import argparse
from pathlib import Path

from zeroconv.training import TrainConfig, train


def main() -> None:
    """Settings, a run, and what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--probe-count", type=int, default=32, help="held-out pictures in each probe")
    parser.add_argument("--probe-steps", type=int, default=6, help="denoising steps for each of them")
    parser.add_argument("--out", type=Path, default=Path("runs/example"))
    args = parser.parse_args()

    config = TrainConfig.build(
        base="tiny",
        data="world:2000",  # 2,000 scenes of the tiny world, rendered when they are first needed
        condition="canny",
        steps=args.steps,
        batch_size=args.batch_size,
        probe_count=args.probe_count,
        probe_steps=args.probe_steps,
        out=args.out,
    )
    summary = train(config, report=lambda event: print(event.line(), flush=True))
    print(f"edge F1 {summary.fidelity:.3f}, {summary.uncontrolled:.3f} without control, {summary.ceiling:.3f} at best")
    print(summary.jump.sentence("edge F1") if summary.jump else "the control has not taken hold yet: give it more steps")
    print(f"the best network: {summary.folder / 'controlnet'}; how it looked: {summary.folder / 'samples'}")


if __name__ == "__main__":
    main()
