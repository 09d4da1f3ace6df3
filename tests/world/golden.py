"""The golden pictures: `golden.png` shows them side by side, `golden.json` says the rest and their origin."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

FOLDER = Path(__file__).parent
SIZE = 128


@dataclass(frozen=True)
class Golden:
    """What a seed must make."""

    seed: int
    kind: str
    caption: str
    sha256: str
    classes: dict[str, int]
    keypoints: list[list[float]] | None
    rgb: npt.NDArray[np.uint8]


def load() -> list[Golden]:
    """All golden pictures, in the order of the strip."""
    with Image.open(FOLDER / "golden.png") as image:
        strip = np.asarray(image.convert("RGB"))
    entries = json.loads((FOLDER / "golden.json").read_text("utf-8"))["pictures"]
    return [Golden(**entry, rgb=strip[:, i * SIZE : (i + 1) * SIZE]) for i, entry in enumerate(entries)]
