"""Turn the shards of `prepare.py` into the folder of pairs that the ControlNets are trained on.

    python experiments/tiny/pairs.py --shards DATA/train --out PAIRS
    python experiments/tiny/pairs.py --shards DATA/train --out PEOPLE --kinds person person-indoors

The same files as `zeroconv data world PAIRS --count N --condition NAME` writes for depth, segmentation and pose (depth up
to the rounding of float16), without rendering again. The second form keeps the scenes with a person, for pose.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.depth import depth_map
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.segmentation import segmentation_map


def main() -> None:
    """Write pictures and maps, then `metadata.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="*", help="scenes of these kinds only; all if left out")
    args = parser.parse_args()
    for folder in ("images", "depth", "segmentation", "pose"):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for path in sorted(p for p in args.shards.glob("*.npz") if p.stem.isdigit()):
        shard = dict(np.load(path))
        if "rgb" not in shard:
            continue  # latents and captions alone
        for i, caption in enumerate(shard["captions"]):
            if args.kinds and shard["kinds"][i] not in args.kinds:
                continue
            name = f"world-{int(path.stem) + i:09d}.png"
            with np.errstate(divide="ignore"):
                distance = 1 / shard["inverse_depth"][i].astype(np.float32)
            made = {
                "images": Image.fromarray(shard["rgb"][i]),
                "depth": depth_map(distance),
                "segmentation": segmentation_map(shard["classes"][i]),
                "pose": draw_pose(shard["keypoints"][i], (128, 128)),
            }
            for folder, image in made.items():
                image.save(args.out / folder / name, compress_level=1)
            columns = {folder: f"{folder}/{name}" for folder in made if folder != "images"}
            lines.append(json.dumps({"file_name": f"images/{name}", "text": str(caption), **columns}))
        print(path.name, flush=True)
    (args.out / "metadata.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
