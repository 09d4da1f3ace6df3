"""A small data set and prepared folders of it, for the proofs about them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zeroconv import conditions
from zeroconv.data.prepared import Prepared, prepare

__all__ = ["SIDE", "content", "draw", "draw_map", "prepare_small", "write_pairs"]

SIDE, SHARD = 16, 3


def draw(path: Path, seed: int, side: int = SIDE) -> None:
    """A picture of random squares."""
    blocks = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8))
    blocks.resize((side, side), Image.Resampling.NEAREST).save(path)


def draw_map(path: Path, seed: int) -> None:
    """The edges of another picture."""
    draw(path, seed)
    conditions.extract("canny", Image.open(path), low=20, high=60).save(path)


def write_pairs(folder: Path, count: int = 8, maps: bool = False, **texts: Any) -> Path:
    """A folder of pairs; `texts` gives pairs, by `p3`, other captions than one word."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for i in range(count):
        draw(folder / f"{i}.png", i)
        line: dict[str, Any] = {"file_name": f"{i}.png", "text": texts.get(f"p{i}", "abcdefgh"[i % 5] * 2)}
        if maps:
            draw_map(folder / f"map-{i}.png", 100 + i)
            line["canny"] = f"map-{i}.png"
        lines.append(json.dumps(line))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def prepare_small(pairs: Path | str, out: Path, base: Path | str, **changed: Any) -> Prepared:
    """Three shards of eight pairs."""
    asked: dict[str, Any] = {"base": str(base), "shard_size": SHARD, **changed}
    return prepare(str(pairs), out, **asked)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
