"""One wide 3 × 3 convolution in float32: oneDNN's, packed, and the same as matrix products, side by side in one process.

    python benchmarks/convolutions.py
    python benchmarks/convolutions.py --threads 1 --rounds 9 --sizes 320x320x64 1280x1280x8

Sizes are channels of output and input, and the side of the features: those of SD 1.5 at 256 and 512 pixels. Features have two
rows, as under guidance. All compute in turn; a time is the median over the rounds in processor seconds, of all threads. The
error is relative to the convolution in float64. The forms that `zeroconv.runtime.convolutions` takes are in bold: where those
are not the fastest on a processor, its limits are wrong there.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.convolutions import FOUR, GATHERED, TWO, Form, find_form
from zeroconv.runtime.layers import PackedConvolution

SIZES = ("320x320x64", "320x960x64", "640x640x32", "640x1920x32", "320x320x32", "1280x1280x16", "640x640x16",
         "1280x1280x8", "1280x2560x8", "1280x1280x4", "1280x2560x4")  # fmt: skip
NAMES: dict[str, Form] = {"tiles of 4 × 4": FOUR, "tiles of 2 × 2": TWO, "one product": GATHERED}
COLUMNS = ("size", "oneDNN, ms", *NAMES, "error of oneDNN", "of what is taken")


def took(compute: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Milliseconds of the processor."""
    begun = time.process_time()
    compute(x)
    return 1000 * (time.process_time() - begun)


@torch.no_grad()
def measure(outputs: int, inputs: int, side: int, rounds: int) -> list[str]:
    """A line of the table."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    x = torch.randn(2, inputs, side, side).contiguous(memory_format=torch.channels_last)
    packed, bias = PackedConvolution(layer), layer.bias
    assert bias is not None
    ways: dict[str, Callable[[Tensor], Tensor]] = {"oneDNN": lambda features: packed.plain(features, bias)}
    ways |= {name: partial(packed.make(form), bias=bias) for name, form in NAMES.items() if form.fits(side, side)}
    exact = functional.conv2d(x.double(), layer.weight.double(), bias.double(), padding=1)
    errors = {name: float((way(x) - exact).norm() / exact.norm()) for name, way in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(took(way, x))
    found = {name: statistics.median(one) for name, one in times.items()}
    form = find_form(layer.weight, packed.geometry, x.shape)
    taken = next((name for name, one in NAMES.items() if one is form), "oneDNN")
    cells = [f"{found['oneDNN'] / found[name]:.2f}" if name in found else "" for name in NAMES]
    marked = [f"**{cell}**" if name == taken else cell for name, cell in zip(NAMES, cells, strict=True)]
    size = f"{inputs} to {outputs}, {side} × {side}"
    return [size, f"{found['oneDNN']:.1f}", *marked, f"{errors['oneDNN']:.1e}", f"{errors[taken]:.1e}"]


def main() -> None:
    """Measure all sizes, a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="OUTxINxSIDE")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.threads} threads, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
          f"load {os.getloadavg()[0]:.1f}; times as fast as oneDNN\n")  # fmt: skip
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for size in args.sizes:
        outputs, inputs, side = map(int, size.split("x"))
        print(f"| {' | '.join(measure(outputs, inputs, side, args.rounds))} |", flush=True)


if __name__ == "__main__":
    main()
