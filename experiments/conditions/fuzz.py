"""Any picture in, a map of its size out, or one typed error of one line: a proof by many random pictures.

    python -m experiments.conditions.fuzz --count 10000

Number i makes, from a generator keyed by the seed and i, a picture, a file or Pillow image of it, a condition and its
parameters. The map is made, checked, judged and fitted to other sizes. What is neither right nor refused as it should
be is printed with its number; `--first N --count 1` makes it again. At the end a table, one row for each condition.
"""

import argparse
import contextlib
import re
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from experiments.conditions.pictures import BROKEN, ENCODINGS, HANDED, LARGEST, draw_alpha, draw_picture, draw_size
from PIL import Image

from zeroconv.conditions import NAMES, extract, extract_all, get
from zeroconv.conditions.fitting import MODES, fit_map
from zeroconv.images import open_holed, open_image, open_map, plain

__all__ = ["ENTRANCES", "Case", "Outcome", "case_of", "main", "table", "try_case"]

MISSING, EMPTY = "missing", "no pixels"
ENTRANCES = (*ENCODINGS, *BROKEN, MISSING, *(f"mode {mode}" for mode in HANDED), EMPTY)
"""How a picture comes in: as a file of some kind, or as a Pillow image of some mode."""
ROUTES = {"open_image": open_image, "open_map": open_map, "open_holed": open_holed}
HANDS = "handed"
LONGEST = 60  # seconds of the processor for one number
INTERNAL = re.compile(
    r"Traceback|<class|NoneType|object is not|object has no|not supported between|not supported for|unsupported |"
    r"argument|broadcast|OpenCV|cv2|\(-\d+:|zero-size|reshape|out of bounds|out of range\b.*index|index out|"
    r"could not convert|cannot convert|invalid literal|must be real|integer division|by zero|sequence|unhashable|"
    r"Input and output|height and width must|buffer|ufunc|dtype|Expected|Tensor|too large to"
)
"""Words of Python, NumPy, OpenCV and PyTorch that no message to a user has."""


class TooLongError(Exception):
    """One number took more than a minute."""


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


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        kind: "map", or the name of the error.
        finding: what is wrong, in a line; None when all is as it should be.
        seconds: of the processor that it took.
        number: of the case.
    """

    kind: str
    finding: str | None
    seconds: float
    number: int


def between(low: float, high: float) -> Any:
    """Numbers of a range, its ends one time in five."""

    def draw(generator: np.random.Generator) -> float:
        return float((low, high)[generator.integers(2)] if generator.random() < 0.2 else generator.uniform(low, high))

    return draw


def whole(low: int, high: int) -> Any:
    """Whole numbers of a range."""
    return lambda generator: int(generator.integers(low, high + 1))


def one_of(*values: Any) -> Any:
    """One of some values."""
    return lambda generator: values[generator.integers(len(values))]


SEEDS, TILES = whole(0, 2**32), one_of(None, None, None, 64, 512)
VALID: dict[str, dict[str, Any]] = {
    "canny": {"low": between(0, 100), "high": between(100, 2040)},
    "soft-edge": {"method": one_of("gradient"), "safe": one_of(False, True), "steps": whole(2, 8), "sigma": between(0.5, 8)},
    "scribble": {
        "method": one_of("edges", "xdog", "drawing"), "threshold": between(0, 1), "width": one_of(None, 1, 2, 5, 24),
        "masked": between(0, 1), "suppress": one_of(False, True), "close": whole(0, 24), "seed": SEEDS,
    },
    "lines": {"min_length": between(0, 1), "max_gap": between(0, 1), "threshold": between(0, 255)},
    "pose": {"method": one_of("tiny"), "threshold": between(0, 1)},
    "segmentation": {"method": one_of("tiny"), "tile": TILES},
    "depth": {"method": one_of("tiny"), "tile": TILES},
    "normal": {
        "method": one_of("tiny"), "background": between(0, 1), "strength": between(0.01, 100),
        "convention": one_of("bae", "v1.0"), "tile": TILES,
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
    assert known.extract is not None
    key = str(generator.choice([*list(signature(known.extract).parameters)[1:], "resolution"]))
    return drawn | {key: NONSENSE[generator.integers(len(NONSENSE))]}, "either"


def expected_of(route: str, entrance: str, alpha: Image.Image) -> str:
    """Whether a picture opens: "map", "error" or "either"."""
    if entrance in (MISSING, EMPTY, "foreign", "boastful"):
        return "error"
    if entrance in BROKEN:
        return "either"
    if route != "open_holed" or "transparent" in entrance:
        return "map"
    if "palette" in entrance:
        return "either"
    seen = "A" in entrance.split(",")[0] or "lossless" in entrance
    return "map" if seen and np.asarray(alpha).min() < 128 else "error"


def case_of(seed: int, number: int, folder: Path, largest: int = LARGEST) -> tuple[Case, Path | Image.Image]:
    """A number's case, and its picture: a path to a file in `folder`, or a Pillow image."""
    generator = np.random.default_rng((seed, number))
    condition, entrance = NAMES[number % len(NAMES)], ENTRANCES[number % len(ENTRANCES)]
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


def wrong_message(error: Exception) -> str | None:
    """What is wrong with an error as a user sees it."""
    text, known = str(error), type(error).__name__
    if not isinstance(error, ValueError | FileNotFoundError | OSError):
        return f"{known}: {text}"
    if not text.strip() or "\n" in text or (isinstance(error, OSError) and error.errno is not None):
        return f"{known} without one line of its own: {text!r}"
    return f"{known} in words of Python's: {text}" if INTERNAL.search(text) else None


def wrong_map(made: Image.Image, condition: str, size: tuple[int, int]) -> str | None:
    """What is wrong with a map."""
    mode = "RGBA" if condition == "inpaint" else "RGB"
    if made.size != size or made.mode != mode or np.asarray(made).dtype != np.uint8:
        return f"a map of {made.size} pixels, {made.mode}, {np.asarray(made).dtype}; expected {size}, {mode}, uint8"
    return None


def look_at(made: Image.Image, image: Image.Image, case: Case, generator: np.random.Generator) -> Iterator[str | None]:
    """The map made, a foreign one, and fitted ones: what is wrong with each answer."""
    known = get(case.condition)
    yield wrong_map(made, case.condition, image.size)
    if known.halves is not None:
        both = extract_all(case.condition, [image, image], [case.parameters] * 2)
        apart = max(int((np.abs(np.asarray(one, int) - made).max(axis=2) > 1).sum()) for one in both)
        few = max(2, made.width * made.height // 100)  # rounding may turn one class into another
        yield None if apart <= few else f"extract_all differs in {apart} pixels"
    warned = known.check(made)
    yield None if all(text and "\n" not in text and "nan" not in text for text in warned) else f"it warned of {warned}"
    assert known.fidelity is not None
    if generator.random() < 0.25:
        score = known.fidelity(plain(image), made)
        yield None if 0 <= score <= 1 else f"fidelity {score}"
    for mode in MODES:
        size = tuple(round(1024 ** float(share)) for share in generator.random(2))
        fitted = wrong_map(fit_map(made, size, case.condition, mode), case.condition, size)
        yield fitted and f"fitted by {mode}: {fitted}"


def look_at_any(image: Image.Image, case: Case, generator: np.random.Generator) -> Iterator[str | None]:
    """A picture in place of a map: each answer, or its error, must be as good."""
    known, size = get(case.condition), draw_size(generator, 10_000)
    assert known.fidelity is not None
    for ask in (lambda: known.check(image), lambda: known.fidelity(image, image), lambda: fit_map(image, size, case.condition)):
        try:
            answer = ask()
        except Exception as error:
            yield wrong_message(error)
        else:
            if isinstance(answer, float):
                yield None if 0 <= answer <= 1 else f"fidelity {answer}"


@contextlib.contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raise `TooLongError` after so many seconds of the processor, which other programs do not count in."""

    def stop(*_: object) -> None:
        raise TooLongError(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def try_case(case: Case, given: Path | Image.Image, seed: int = 0) -> Outcome:
    """Do what a case says, and judge it."""
    generator = np.random.default_rng((seed, case.number, 1))
    started, kind, findings = time.process_time(), "map", list[str | None]()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with at_most(LONGEST):
                image = given if isinstance(given, Image.Image) else ROUTES[case.route](given)
                if case.entrance in BROKEN:
                    image = image.crop((0, 0, *case.size))  # scratches in a header can make it another, large picture
                elif image.size != case.size:
                    findings.append(f"opened with {image.size} pixels; expected {case.size}")
                try:
                    made = extract(case.condition, image, **case.parameters)
                finally:
                    findings += look_at_any(image, case, generator) if generator.random() < 0.2 else ()
                findings += look_at(made, image, case, generator)
        except Exception as error:
            kind = type(error).__name__
            findings.append(wrong_message(error))
    if case.expected != "either" and case.expected != ("map" if kind == "map" else "error"):
        findings.append(f"{kind}; expected {case.expected}")
    findings += [f"{type(w.message).__name__} of {Path(w.filename).name}, line {w.lineno}: {w.message}" for w in caught]
    wrong = [finding for finding in findings if finding]
    return Outcome(kind, "; ".join(wrong) or None, time.process_time() - started, case.number)


def table(outcomes: Mapping[str, list[Outcome]]) -> str:
    """Markdown: what came of the pictures of each condition."""
    errors = sorted({one.kind for listed in outcomes.values() for one in listed} - {"map"})
    head = ["condition", "pictures", "maps", *errors, "findings", "slowest"]
    rows = [head, ["---"] * len(head)]
    everything = [one for listed in outcomes.values() for one in listed]
    for name, listed in [*outcomes.items(), ("**all**", everything)]:
        counts = Counter(one.kind for one in listed)
        findings = sum(one.finding is not None for one in listed)
        seconds, slowest = max(((one.seconds, one.number) for one in listed), default=(0, 0))
        numbers = (len(listed), *(counts[kind] for kind in ("map", *errors)), findings)
        rows.append([name, *map(str, numbers), f"{seconds:.1f} s (number {slowest})"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Print findings as they come, then the table; end with an error when there were findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    outcomes: dict[str, list[Outcome]] = {name: [] for name in NAMES}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.first, asked.first + asked.count):
            case, given = case_of(asked.seed, number, Path(folder))
            outcome = try_case(case, given, asked.seed)
            outcomes[case.condition].append(outcome)
            if outcome.finding:
                print(f"{case}\n  {outcome.finding}", flush=True)
            if isinstance(given, Path):
                given.unlink(missing_ok=True)
    print(f"\n{table(outcomes)}\n\n{asked.count} pictures in {(time.monotonic() - started) / 60:.0f} minutes")
    if any(one.finding for listed in outcomes.values() for one in listed):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
