"""Pictures per second and memory of every extractor that needs no weights, beside OpenCV's own calls where there are any.

    python benchmarks/conditions.py                                      512 and 1024 pixels, two minutes on one core
    python benchmarks/conditions.py --only canny lines --repeat 41       two of them, more exactly

The picture is a mosaic of 16 held-out scenes of the tiny world, 128 x 128 each, mirrored to fill larger sizes: at 512 it
has 800 line segments and 9 % of its pixels are edges, as many as photographs have. Each extractor works in a process of
its own, with one thread. First the memory of one call: the peak of what is resident, less what was before. Then times:
`extract` (a Pillow picture in, a map out) and the call of OpenCV that does the same work (an array in, its result out)
take turns, so that both meet the same weather. Times are of the processor, not of the clock on the wall, and medians; the
ratio is that of both medians, with the middle half of the ratios of single turns in brackets.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TILE, TILES = 128, 4  # pixels of a scene, scenes a side
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Extractor:
    """A condition with one of its methods, and what OpenCV's users would write for it.

    Attributes:
        condition: its name.
        parameters: of `extract`.
        call: what `raw` calls, in words.
        raw: takes cv2 and an RGB array, does what needs no timing, and returns the call.
    """

    condition: str
    parameters: dict[str, Any] = field(default_factory=dict)
    call: str = ""
    raw: Callable[[Any, Any], Callable[[], Any]] | None = None


def colour_canny(cv2: Any, rgb: Any) -> Callable[[], Any]:
    """Canny on three channels, as ControlNet's users call it; the result is the same."""
    return lambda: cv2.Canny(rgb, 100, 200)


def grey_canny(cv2: Any, rgb: Any) -> Callable[[], Any]:
    """Canny on brightness alone: fewer edges."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return lambda: cv2.Canny(grey, 100, 200)


def segments(cv2: Any, rgb: Any) -> Callable[[], Any]:
    """The line segment detector with its defaults: pieces, not joined and not drawn."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return lambda: cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD, 0.8).detect(grey)


def smaller_and_larger(cv2: Any, rgb: Any) -> Callable[[], Any]:
    """A quarter of the size by areas, and back by a cubic."""
    height, width = rgb.shape[:2]

    def call() -> Any:
        small = cv2.resize(rgb, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)

    return call


def flow(cv2: Any, rgb: Any) -> Callable[[], Any]:
    """A smooth random flow in pixels, and the picture taken from there."""
    import numpy as np

    side = rgb.shape[0]
    grids = np.random.default_rng(0).random((2, side // 256 + 2, side // 256 + 2), np.float32) * (side - 1)

    def call() -> Any:
        x, y = (cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC) for grid in grids)
        return cv2.remap(rgb, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    return call


EXTRACTORS = {
    "canny": Extractor("canny", {}, "Canny of three channels", colour_canny),
    "canny, grey": Extractor("canny", {}, "Canny of grey", grey_canny),
    "soft-edge": Extractor("soft-edge"),
    "scribble, edges": Extractor("scribble"),
    "scribble, xdog": Extractor("scribble", {"method": "xdog"}),
    "scribble, drawing": Extractor("scribble", {"method": "drawing"}),
    "lines": Extractor("lines", {}, "LineSegmentDetector", segments),
    "lineart": Extractor("lineart"),
    "lineart, coarse": Extractor("lineart", {"coarse": True}),
    "shuffle": Extractor("shuffle", {}, "resize twice, remap", flow),
    "tile": Extractor("tile", {}, "resize twice", smaller_and_larger),
    "inpaint": Extractor("inpaint"),
    "depth, tiny": Extractor("depth"),
    "normal, tiny": Extractor("normal"),
    "segmentation, tiny": Extractor("segmentation"),
    "pose, tiny": Extractor("pose"),
}


@dataclass(frozen=True)
class Row:
    """What was measured of one extractor at one size.

    Attributes:
        name: of the extractor.
        size: pixels a side.
        seconds: of each turn.
        memory: peak while it works, less what was there before, in bytes.
        call: OpenCV's.
        raw_seconds: of each turn of OpenCV's call.
    """

    name: str
    size: int
    seconds: list[float]
    memory: int
    call: str
    raw_seconds: list[float]

    def ratio(self) -> tuple[float, float, float]:
        """Of both medians; the quartiles of the turns' own ratios."""
        turns = [ours / theirs for ours, theirs in zip(self.seconds, self.raw_seconds, strict=True)]
        low, _, high = statistics.quantiles(turns, n=4)
        return statistics.median(self.seconds) / statistics.median(self.raw_seconds), low, high

    def __str__(self) -> str:
        """A line of the table."""
        cells = [self.name, str(self.size), per_second(self.seconds), f"{self.memory / 1e6:.0f}"]
        if not self.call:
            return f"| {' | '.join([*cells, '', '', ''])} |"
        ratio, low, high = self.ratio()
        return f"| {' | '.join([*cells, self.call, per_second(self.raw_seconds), f'{ratio:.2f} ({low:.2f} … {high:.2f})'])} |"


def per_second(seconds: list[float]) -> str:
    """How many such turns fit into a second, with two or three digits."""
    value = 1 / statistics.median(seconds)
    return f"{value:.{0 if value >= 10 else 1}f}"


def mosaic(size: int) -> Any:
    """The picture, (size, size, 3) uint8."""
    import numpy as np

    from zeroconv.world import HELD_OUT_SEED, make

    scenes = [make(HELD_OUT_SEED + index, size=TILE).rgb for index in range(TILES**2)]
    whole = np.concatenate([np.concatenate(scenes[row * TILES :][:TILES], axis=1) for row in range(TILES)])
    beyond = max(0, size - len(whole))
    return np.pad(whole, np.array([(0, beyond), (0, beyond), (0, 0)]), mode="symmetric")[:size, :size]


def memory() -> dict[str, int]:
    """Memory of this process in bytes, resident: now, and at its peak."""
    lines = (line.split() for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    found = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}
    return {"now": found["VmRSS"], "peak": found["VmHWM"]}


def measure(name: str, path: Path, repeat: int) -> Row:
    """Measure one extractor in this process."""
    import cv2
    import numpy as np
    from PIL import Image

    from zeroconv.conditions import extract

    extractor, rgb = EXTRACTORS[name], np.load(path)
    cv2.setNumThreads(1)
    image = Image.fromarray(rgb)
    raw = extractor.raw(cv2, rgb) if extractor.raw else None

    def ours() -> Any:
        return extract(extractor.condition, image, **extractor.parameters)

    extract(extractor.condition, image.resize((64, 64)), **extractor.parameters)  # imports, weights
    before = memory()["now"]
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # forget the peak
    ours()
    extra = memory()["peak"] - before
    seconds: list[float] = []
    raw_seconds: list[float] = []
    for turn in range(repeat + 1):
        for function, spent in ((ours, seconds), (raw, raw_seconds))[:: 1 if turn % 2 else -1]:
            if function:
                started = time.thread_time()
                function()
                spent.append(time.thread_time() - started)
    return Row(name, len(rgb), seconds[1:], extra, extractor.call, raw_seconds[1:])  # the first turn wakes everything up


def main() -> None:
    """Measure all extractors, each in a process of its own, and print the table."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(asdict(measure(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 1024], help="pixels a side")
    parser.add_argument("--repeat", type=int, default=11, help="turns")
    parser.add_argument("--only", nargs="+", default=list(EXTRACTORS), metavar="NAME", help=" | ".join(EXTRACTORS))
    parser.add_argument("--json", action="store_true", help="the same as JSON, with every turn")
    args = parser.parse_args()
    if unknown := sorted(set(args.only) - set(EXTRACTORS)):
        parser.error(f"there is no extractor {unknown[0]!r}; expected some of: {', '.join(EXTRACTORS)}")
    if args.repeat < 2 or min(args.sizes) < 64:
        parser.error("expected a --repeat of at least 2 and --sizes of at least 64")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        import numpy as np

        for size in args.sizes:
            np.save(path := Path(folder) / f"{size}.npy", mosaic(size))
            for name in args.only:
                command = [sys.executable, __file__, "--child", name, str(path), str(args.repeat)]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | ONE_THREAD)
                rows.append(Row(**json.loads(done.stdout.splitlines()[-1])))
    if args.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print("| extractor | size | pictures a second | memory, MB | OpenCV's call | its pictures a second | ratio of times |")
    print("|---|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: args.only.index(row.name)):
        print(row)


if __name__ == "__main__":
    main()
