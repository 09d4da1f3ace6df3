"""A small data set and prepared folders of it, for the proofs about them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zeroconv import conditions
from zeroconv.data.prepared import Prepared, prepare

__all__ = ["SIDE", "SIZES", "content", "draw", "draw_map", "prepare_small", "write_pairs", "write_sizes"]

SIDE, SHARD = 16, 3
SIZES = [(140, 34), (40, 120), (64, 130), (64, 64), (33, 90), (120, 33), (80, 44), (30, 30)]


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


def write_sizes(folder: Path, order: Sequence[int] = range(len(SIZES)), **texts: Any) -> Path:
    """A folder of pictures of `SIZES`, in some order and named by their places in it; `texts` as `write_pairs`, by `SIZES`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for i, number in enumerate(order):
        width, height = SIZES[number]
        blocks = np.random.default_rng(number).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST).save(folder / f"{i}.png")
        lines.append(json.dumps({"file_name": f"{i}.png", "text": texts.get(f"p{number}", "abcdefgh"[number] * 2)}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def prepare_small(pairs: Path | str, out: Path, base: Path | str, **changed: Any) -> Prepared:
    """Three shards of eight pairs."""
    asked: dict[str, Any] = {"base": str(base), "shard_size": SHARD, **changed}
    return prepare(str(pairs), out, **asked)


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
