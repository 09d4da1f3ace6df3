"""Nine small pairs, the same on every machine."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
COUNT = 9


def make_pairs(folder: Path) -> Path:
    """Nine pictures of 32 x 32 with captions of one word, in an image folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    rng = np.random.default_rng(0)
    for i in range(COUNT):
        blocks = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        blocks.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(folder / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", "text": "abcdefghi"[i] * (1 + i % 3)}))
    (folder / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
    return folder
