"""One wide 3 × 3 convolution: oneDNN's, packed, and the same as matrix products, side by side in one process.

    python benchmarks/convolutions.py
    python benchmarks/convolutions.py --dtype bf16
    python benchmarks/convolutions.py --threads 1 --rounds 9 --sizes 320x320x64 1280x1280x8

Sizes are channels of output and input, and the side of the features: those of SD 1.5 at 256 and 512 pixels. Features have two
rows, as under guidance. Weights come from memory, as in a step: each way goes through so many layers that caches do not hold
them. All compute in turn; a time is the median over the rounds in processor seconds, of all threads, for one layer. Errors are
relative to the convolution in float64. The forms that `zeroconv.runtime.convolutions` takes are in bold: where those are not
the fastest on a processor, its limits are wrong there. In bfloat16 there is one form, for processors that multiply tiles of it.
"""

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.runtime.convolutions import FOUR, GATHERED, READ, TWO, Form, find_form
from zeroconv.runtime.layers import PackedConvolution

SIZES = ("320x320x64", "320x960x64", "640x640x32", "640x1920x32", "320x320x32", "1280x1280x16", "640x640x16",
         "1280x1280x8", "1280x2560x8", "1280x1280x4", "1280x2560x4")  # fmt: skip
CACHED, MOST = 128 << 20, 16
"""Bytes of weights that a processor may keep at hand; and no more layers than this."""
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}
NAMES: dict[str, dict[str, Form]] = {
    "fp32": {"tiles of 4 × 4": FOUR, "tiles of 2 × 2": TWO, "one product": GATHERED},
    "bf16": {"one product": READ[0]},
}


def took(layers: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> float:
    """Milliseconds of the processor for one layer."""
    begun = time.process_time()
    for layer in layers:
        layer(x)
    return 1000 * (time.process_time() - begun) / len(layers)


@torch.no_grad()
def measure(outputs: int, inputs: int, side: int, rounds: int, kind: str) -> list[str]:
    """A line of the table."""
    names = NAMES[kind]
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, dtype=KINDS[kind])
    x = torch.randn(2, inputs, side, side, dtype=KINDS[kind]).contiguous(memory_format=torch.channels_last)
    packed, bias = PackedConvolution(layer), layer.bias
    assert bias is not None
    count = min(MOST, math.ceil(CACHED / layer.weight.nbytes))
    ways: dict[str, list[Callable[[Tensor], Tensor]]] = {
        "oneDNN": [partial(PackedConvolution(layer).plain, bias=bias) for _ in range(count)]
    }
    for name, form in names.items():
        if form.fits(side, side):
            ways[name] = [partial(packed.make(form), bias=bias) for _ in range(count)]
    exact = functional.conv2d(x.double(), layer.weight.double(), bias.double(), padding=1)
    errors = {name: float((layers[0](x) - exact).norm() / exact.norm()) for name, layers in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):  # the first packs
        for name, layers in ways.items():
            times[name] += [took(layers, x)][:turn]
    found = {name: statistics.median(one) for name, one in times.items()}
    form = find_form(layer.weight, packed.geometry, x.shape)
    taken = next((name for name, one in names.items() if one is form), "oneDNN")
    cells = [f"{found['oneDNN'] / found[name]:.2f}" if name in found else "" for name in names]
    marked = [f"**{cell}**" if name == taken else cell for name, cell in zip(names, cells, strict=True)]
    size = f"{inputs} to {outputs}, {side} × {side}"
    return [size, f"{found['oneDNN']:.1f}", *marked, f"{errors['oneDNN']:.1e}", f"{errors[taken]:.1e}"]


def main() -> None:
    """Measure all sizes, a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", choices=KINDS, default="fp32")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="OUTxINxSIDE")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.threads} threads, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {args.dtype}, "
          f"load {os.getloadavg()[0]:.1f}; times as fast as oneDNN\n")  # fmt: skip
    columns = ("size", "oneDNN, ms", *NAMES[args.dtype], "error of oneDNN", "of what is taken")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for size in args.sizes:
        outputs, inputs, side = map(int, size.split("x"))
        print(f"| {' | '.join(measure(outputs, inputs, side, args.rounds, args.dtype))} |", flush=True)


if __name__ == "__main__":
    main()
