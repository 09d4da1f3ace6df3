"""How long the checks of maps take, and `zeroconv data check` of a thousand pairs: processor time of one core.

    python benchmarks/checks.py                       every condition at 512 pixels, and data check: two minutes
    python benchmarks/checks.py --side 1024 --pairs 0

Maps are those of held-out scenes of the tiny world, 128 x 128, brought to the size without smoothing; the pose is drawn at
the size. A check takes the median of its turns; data check is measured on `--pairs` pairs of PNG files and told for 1,000.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

FIRST = 900_000_000


def seeds(name: str, count: int) -> list[int]:
    """Scenes whose map is not empty: with a person for pose."""
    from zeroconv.world import make

    found = (seed for seed in itertools.count(FIRST) if name != "pose" or make(seed).keypoints is not None)
    return list(itertools.islice(found, count))


def make_map(name: str, seed: int, side: int) -> tuple[Image.Image, Image.Image]:
    """A picture and its map at a size."""
    from zeroconv import conditions
    from zeroconv.conditions.openpose.drawing import draw_pose
    from zeroconv.data.world_pairs import truth
    from zeroconv.world import make

    scene = make(seed)
    picture = Image.fromarray(scene.rgb).resize((side, side), Image.Resampling.BICUBIC)
    if name == "pose" and scene.keypoints is not None:
        return picture, draw_pose(scene.keypoints * [side / 128, side / 128, 1], (side, side))
    if conditions.get(name).ground_truth is not None:
        return picture, truth(scene, name).resize((side, side), Image.Resampling.NEAREST)
    return picture, conditions.extract(name, picture)


def time_check(name: str, side: int, turns: int) -> float:
    """Median milliseconds of a check."""
    from zeroconv import conditions

    maps = [make_map(name, seed, side)[1] for seed in seeds(name, 4)]
    taken: list[float] = []
    for turn in range(turns):
        before = time.process_time()
        conditions.get(name).check(maps[turn % len(maps)])
        taken.append(1000 * (time.process_time() - before))
    return statistics.median(taken)


def time_data_check(name: str, side: int, pairs: int) -> float:
    """Seconds of `zeroconv data check` for 1,000 pairs, from some."""
    from zeroconv.data import check

    with tempfile.TemporaryDirectory() as folder:
        lines: list[str] = []
        for part in ("images", name):
            (Path(folder) / part).mkdir()
        for index, seed in enumerate(seeds(name, pairs)):
            picture, found = make_map(name, seed, side)
            picture.save(Path(folder) / "images" / f"{index}.png")
            found.save(Path(folder) / name / f"{index}.png")
            lines.append(json.dumps({"file_name": f"images/{index}.png", "text": "a", name: f"{name}/{index}.png"}))
        (Path(folder) / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
        before = time.process_time()
        check(Path(folder), name)
        return 1000 * (time.process_time() - before) / pairs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--turns", type=int, default=21)
    parser.add_argument("--pairs", type=int, default=40)
    args = parser.parse_args()
    from zeroconv import conditions

    names = [name for name in conditions.names() if name != "inpaint"]  # whose map is not made from a picture alone
    for name in names:
        print(f"{name:14s} check {time_check(name, args.side, args.turns):6.1f} ms", flush=True)
    for name in ("canny", "depth", "segmentation", "pose") if args.pairs else ():
        print(f"{name:14s} data check {time_data_check(name, args.side, args.pairs):5.0f} s for 1,000 pairs", flush=True)


if __name__ == "__main__":
    main()
