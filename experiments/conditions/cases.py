"""A number's case: a picture, how it comes in, a condition and its parameters, and what must come of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from experiments.conditions.pictures import BROKEN, ENCODINGS, HANDED, LARGEST, draw_alpha, draw_picture, draw_size
from PIL import Image

from zeroconv.conditions import get, names
from zeroconv.images import open_image, open_map, open_with_mask

__all__ = ["ENTRANCES", "HANDS", "ROUTES", "VALID", "Case", "case_of"]

Draw = Callable[[np.random.Generator], Any]
MISSING, EMPTY = "missing", "no pixels"
ENTRANCES = (*ENCODINGS, *BROKEN, MISSING, *(f"mode {mode}" for mode in HANDED), EMPTY)
"""How a picture comes in: as a file of some kind, or as a Pillow image of some mode."""
ROUTES = {"open_image": open_image, "open_map": open_map, "open_with_mask": open_with_mask}
HANDS = "handed"


@dataclass(frozen=True)
class Case:
    """One number's picture and what is done with it.

    Attributes:
        number: as printed.
        route: how it is opened, a key of `ROUTES`; or "handed", a Pillow image.
        entrance: one of `ENTRANCES`.
        size: upright, width and height in pixels.
        condition: by name.
        parameters: of its extractor.
        expected: "map", "error", or "either" where both are right.
    """

    number: int
    route: str
    entrance: str
    size: tuple[int, int]
    condition: str
    parameters: Mapping[str, Any]
    expected: str


def between(low: float, high: float) -> Draw:
    """Numbers of a range, its ends one time in five."""

    def draw(generator: np.random.Generator) -> float:
        return float((low, high)[generator.integers(2)] if generator.random() < 0.2 else generator.uniform(low, high))

    return draw


def whole(low: int, high: int) -> Draw:
    """Whole numbers of a range."""
    return lambda generator: int(generator.integers(low, high + 1))


def one_of(*values: Any) -> Draw:
    """One of some values."""
    return lambda generator: values[generator.integers(len(values))]


SEEDS, TILES = whole(0, 2**32), one_of(None, None, None, 64, 512)
VALID: dict[str, dict[str, Draw]] = {
    "canny": {"low": between(0, 100), "high": between(100, 2040)},
    "soft-edge": {"method": one_of("gradient"), "safe": one_of(False, True), "steps": whole(2, 8), "sigma": between(0.5, 8)},
    "scribble": {
        "method": one_of("edges", "xdog", "drawing"), "threshold": between(0, 1), "width": one_of(None, 1, 2, 5, 24),
        "masked": between(0, 1), "suppress": one_of(False, True), "close": whole(0, 24), "seed": SEEDS,
    },
    "lines": {"min_length": between(0, 1), "max_gap": between(0, 1), "threshold": between(0, 255)},
    "pose": {"method": one_of("tiny"), "threshold": between(0, 1), "thickness": one_of(None, 1.0, 4.0, 20.0)},
    "segmentation": {"method": one_of("tiny"), "tile": TILES},
    "depth": {"method": one_of("tiny"), "tile": TILES},
    "normal": {
        "method": one_of("tiny"), "background": between(0, 1), "strength": between(0.01, 100),
        "convention": one_of("bae", "v1.0"), "tile": one_of(None),
    },
    "lineart": {"coarse": one_of(False, True), "strength": between(0.01, 4), "detail": between(0, 1)},
    "shuffle": {"seed": SEEDS, "wave": between(2, 5000)},
    "tile": {"factor": between(1, 64)},
    "inpaint": {"method": one_of("strokes", "box"), "share": between(0.01, 0.9), "seed": SEEDS},
}  # fmt: skip
"""What each extractor takes without weights: a drawing of each of its parameters."""
NONSENSE = (
    float("nan"), float("inf"), -float("inf"), -1, 0, 0.5, 1e30, 10**400, "many", "", None, True, [], (1, 2, 3), {}, b"x",
    np.float32(1), np.float32("nan"), np.int64(3), np.uint8(64), np.True_, Fraction(5, 2),
)  # fmt: skip
WEIGHTLESS = {"soft-edge": "hed", "depth": "dpt", "normal": "depth-anything", "segmentation": "oneformer", "pose": "vitpose"}
"""Methods with weights that are not here."""


def parameters_of(
    condition: str, size: tuple[int, int], generator: np.random.Generator, largest: int
) -> tuple[dict[str, Any], str]:
    """Parameters of an extractor, and whether a "map", an "error" or "either" is expected."""
    known, chance = get(condition), generator.random()
    if chance < 0.03:
        return {"thresold": 3}, "error"
    if chance < 0.06 and condition in WEIGHTLESS:
        return {"method": WEIGHTLESS[condition], "weights": "nowhere"}, "error"
    if known.draw_parameters is not None and generator.random() < 0.4:
        drawn = dict(known.draw_parameters(generator))
    else:
        drawn = {key: draw(generator) for key, draw in VALID[condition].items() if generator.random() < 0.6}
    if generator.random() < 0.15:
        drawn["resolution"] = round((largest**0.5 / 4) ** float(generator.random()))
    elif condition == "inpaint" and generator.random() < 0.3:
        mask = Image.fromarray(generator.integers(0, 256, (size[1], size[0]), np.uint8))
        drawn["mask"] = mask if generator.random() < 0.5 else (0, 0, *generator.integers(1, np.add(size, 1)).tolist())
    if chance > 0.1:
        return drawn, "map"
    key = str(generator.choice([*list(signature(known.extract).parameters)[1:], "resolution"]))
    return drawn | {key: NONSENSE[generator.integers(len(NONSENSE))]}, "either"


def expected_of(route: str, entrance: str, alpha: Image.Image) -> str:
    """Whether a picture opens: "map", "error" or "either"."""
    if entrance in (MISSING, EMPTY, "foreign", "boastful"):
        return "error"
    if entrance in BROKEN:
        return "either"
    if route != "open_with_mask" or "transparent" in entrance:
        return "map"
    if "palette" in entrance:
        return "either"
    seen = "A" in entrance.split(",")[0] or "lossless" in entrance
    return "map" if seen and np.asarray(alpha).min() < 128 else "error"


def case_of(seed: int, number: int, folder: Path, largest: int = LARGEST) -> tuple[Case, Path | Image.Image]:
    """A number's case, and its picture: a path to a file in `folder`, or a Pillow image."""
    generator = np.random.default_rng((seed, number))
    condition, entrance = names()[number % len(names())], ENTRANCES[number % len(ENTRANCES)]
    size = draw_size(generator, largest)
    image, alpha = draw_picture(generator, size), draw_alpha(generator, size)
    parameters, expected = parameters_of(condition, size, generator, largest)
    route = str(generator.choice(list(ROUTES), p=[0.6, 0.2, 0.2]))
    path = folder / f"picture {number}{('.png', '.jpg', '.webp', '')[generator.integers(4)]}"
    given: Path | Image.Image = path
    if entrance == EMPTY:
        route, size = HANDS, ((0, size[1]), (size[0], 0), (0, 0))[generator.integers(3)]
        given = Image.new(("RGB", "L", "RGBA")[generator.integers(3)], size)
    elif entrance.startswith("mode "):
        route, given = HANDS, HANDED[entrance.removeprefix("mode ")](image, alpha, generator)
    elif entrance in ENCODINGS:
        path.write_bytes(ENCODINGS[entrance](image, alpha, generator))
    elif entrance in BROKEN:
        path.write_bytes(BROKEN[entrance](image, generator))
    opens = expected_of(route, entrance, alpha)
    if "error" in (opens, expected):
        expected = "error"
    elif opens == "either":
        expected = "either"
    return Case(number, route, entrance, size, condition, parameters, expected), given
