"""Render the tiny world with several captions for each scene: what the tiny CLIP is trained on.

    python -m experiments.tiny.captioned --out DATA --count 10000

Writes `DATA/train/*.npz` (seeds 0 …) and `DATA/held/900000000.npz` (500 held-out scenes), each with rgb (500, 128, 128, 3)
uint8 and captions (500, 4): the scene's own caption and three others of the same story. What is there already is kept: run
it again to go on. One thread renders 10 to 38 scenes a second; a shard has 25 MB.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from zeroconv.world import HELD_OUT_SEED, render, scene
from zeroconv.world.captions import NAMED_FROM

SHARD = 500
CAPTIONS = 4  # of a scene
SIZE = 128


def captioned(seed: int) -> tuple[np.ndarray, list[str]]:
    """The picture of a seed, (128, 128, 3) uint8, and its captions; the first is that of `zeroconv.world.make`."""
    built = scene(seed)
    rendering = render(built, SIZE)

    def visible(name: str) -> bool:
        return rendering.coverage.get(name, 0) > NAMED_FROM

    draw = built.draw.copy()
    return rendering.rgb, [built.story.caption(draw, visible) for _ in range(CAPTIONS)]


def make_shard(path: Path) -> None:
    """One shard, whole or not at all, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb, captions = zip(*(captioned(int(path.stem) + i) for i in range(SHARD)), strict=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, rgb=np.stack(rgb), captions=np.array(captions))
    os.replace(part, path)
    print(path, flush=True)


def main() -> None:
    """Render, shard by shard."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10_000, help="scenes to train on, a multiple of 500")
    args = parser.parse_args()
    make_shard(args.out / "held" / f"{HELD_OUT_SEED:09d}.npz")
    for first in range(0, args.count, SHARD):
        make_shard(args.out / "train" / f"{first:09d}.npz")


if __name__ == "__main__":
    main()
