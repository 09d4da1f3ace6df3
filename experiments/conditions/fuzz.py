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
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from experiments.conditions.cases import ROUTES, Case, case_of
from experiments.conditions.pictures import BROKEN, draw_size
from PIL import Image

from zeroconv.conditions import extract, extract_all, fit_map, get, names
from zeroconv.conditions.raster.resizing import MODES
from zeroconv.errors import NothingAskedError
from zeroconv.images import to_8bit
from zeroconv.messages import listen

__all__ = ["Outcome", "main", "table", "try_case", "wrong_message"]

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
    if known.batched is not None and generator.random() < 0.3:
        both = extract_all(case.condition, [image, image], [case.parameters] * 2)
        apart = max(int((np.abs(np.asarray(one, int) - made).max(axis=2) > 1).sum()) for one in both)
        few = max(2, made.width * made.height // 100)  # rounding may turn one class into another
        yield None if apart <= few else f"extract_all differs in {apart} pixels"
    warned = [str(one) for one in known.check(made)]
    yield None if all(text and "\n" not in text and "nan" not in text for text in warned) else f"it warned of {warned}"
    if generator.random() < 0.25:
        with contextlib.suppress(NothingAskedError):  # nobody and no line: it has no score
            fidelity, *others = known.metrics(to_8bit(image), made).values()
            yield None if 0 <= fidelity <= 1 else f"fidelity {fidelity}"
            yield None if np.isfinite(others).all() else f"measures {others}"
    for mode in MODES:
        size = tuple(round(1024 ** float(share)) for share in generator.random(2))
        fitted = wrong_map(fit_map(made, size, case.condition, mode), case.condition, size)
        yield fitted and f"fitted by {mode}: {fitted}"


def look_at_any(image: Image.Image, case: Case, generator: np.random.Generator) -> Iterator[str | None]:
    """A picture in place of a map: each answer, or its error, must be as good."""
    known, size = get(case.condition), draw_size(generator, 10_000)
    for ask in (lambda: known.check(image), lambda: known.fidelity(image, image), lambda: fit_map(image, size, case.condition)):
        try:
            answer = ask()
        except Exception as error:
            yield wrong_message(error)
        else:
            if isinstance(answer, float):
                yield None if 0 <= answer <= 1 else f"fidelity {answer}"


@contextlib.contextmanager
def at_most(seconds: int) -> Generator[None]:
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
                with listen(lambda _: None):  # black on transparent paper is told, as it should be
                    image = given if isinstance(given, Image.Image) else ROUTES[case.route](given)
                if case.entrance in BROKEN:
                    image = image.crop((0, 0, *case.size))  # scratches in a header can make it another, large picture
                elif image.size != case.size:
                    findings.append(f"opened with {image.size} pixels; expected {case.size}")
                try:
                    made = extract(case.condition, image, **case.parameters)
                finally:
                    findings += look_at_any(image, case, generator) if generator.random() < 0.2 else ()
                try:
                    findings += look_at(made, image, case, generator)
                except Exception as error:
                    findings.append(f"with its map: {type(error).__name__}: {error}")
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
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names()}
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
