"""How a controlled denoising step grows with resolution, batch, number of controls and threads: ours beside diffusers'.

    python benchmarks/scaling.py                                        the tiny base, all four: three minutes
    python benchmarks/scaling.py --size sd15 --axes side controls       SD 1.5's sizes, random weights: 12 GB
    python benchmarks/scaling.py --plot docs/images/scaling.svg

One number is changed at a time, the others stay at one picture, one control, all threads, and 128 pixels (256 for sd15).
All compute the same step in turn in one process, as in `generation.py`, and every result is compared with diffusers'. Times
are medians by the clock; the ratio is the median over the rounds. What one more control adds is the slope of a line through
the times of that axis.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from generation import KINDS, inputs, networks, our_network, timed
from torch import Tensor

from zeroconv.control import ActiveControl
from zeroconv.runtime.choice import UNetRunner, run_unet
from zeroconv.runtime.openvino.store import CompiledStore
from zeroconv.runtime.openvino.unet import OpenVINOUNet

AXES: dict[str, dict[str, Sequence[int]]] = {
    "tiny": {"side": (64, 128, 192, 256, 384), "batch": (1, 2, 4, 8), "controls": (0, 1, 2, 3), "threads": (1, 2)},
    "sd15": {"side": (128, 192, 256, 384), "batch": (1, 2), "controls": (0, 1, 2, 3), "threads": (1, 2)},
}
TITLES = {"side": "pixels a side", "batch": "pictures at a time", "controls": "controls", "threads": "threads"}
COLOURS = ("#888888", "#c2410c", "#1d4ed8", "#047857")
ALLOWED = {torch.float32: 1e-4, torch.bfloat16: 0.1}
PANEL, HIGH, MARGIN = 300, 240, 46


@dataclass(frozen=True)
class Case:
    """A step: pixels a side, pictures at a time, controls and threads."""

    side: int
    batch: int = 1
    controls: int = 1
    threads: int = os.cpu_count() or 1


@dataclass(frozen=True)
class Point:
    """The times of a case, by contestant, in milliseconds, and the ratios to the first's."""

    case: Case
    times: dict[str, float]
    ratios: dict[str, float]
    spreads: dict[str, tuple[float, float]]


def diffusers_step(unet: Any, controls: Sequence[Any], given: Any) -> Callable[[], Tensor]:
    """The step as diffusers' pipeline computes it: residuals of all controls summed, features anew in each step."""
    pair = torch.cat([given.condition] * len(given.z_t))

    def run() -> Tensor:
        states: dict[str, Any] = {}
        for control in controls:
            down, middle = control(given.z_t, 500, encoder_hidden_states=given.text, controlnet_cond=pair, return_dict=False)
            if states:
                down = [a + b for a, b in zip(states["down_block_additional_residuals"], down, strict=True)]
                middle = middle + states["mid_block_additional_residual"]
            states = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return unet(given.z_t, 500, encoder_hidden_states=given.text, **states, return_dict=False)[0]

    return run


class Bench:
    """The networks, and the ways to run them.

    Args:
        size: "tiny" or "sd15".
        dtype: that all compute in.
        ways: of ours.
        most: controls at most; all have the same weights, each in memory of its own.
    """

    def __init__(self, size: str, dtype: torch.dtype, ways: Sequence[str], most: int) -> None:
        made: tuple[Any, Any] = networks(size)
        self.unet, first = made
        if dtype != torch.float32:
            self.unet, first = self.unet.to(dtype), first.to(dtype)
        self.dtype, self.theirs = dtype, [first] * most
        self.ours = [our_network(first, self.unet) for _ in range(most)]
        store = CompiledStore(Path(tempfile.mkdtemp()))
        makers: dict[str, Callable[[], UNetRunner]] = {
            "torch": lambda: run_unet(self.unet, "torch"),
            "plan": lambda: run_unet(self.unet, "plan"),
            "openvino": lambda: OpenVINOUNet(self.unet, store),
        }
        self.runners = {way: makers[way]() for way in ways}

    def our_step(self, runner: UNetRunner, count: int, given: Any) -> Callable[[], Tensor]:
        """The step as our pipeline computes it, the conditions' features once."""
        acting: list[ActiveControl] = []
        for network in self.ours[:count]:
            features = network.encode_condition(given.condition)
            acting.append(ActiveControl(network, torch.cat([features] * len(given.z_t))))
        return lambda: runner(given.z_t, 500, given.text, acting)

    def measure(self, case: Case, rounds: int) -> Point:
        """All contestants in turn.

        Raises:
            SystemExit: when one computes something else.
        """
        torch.set_num_threads(case.threads)
        given = inputs(self.unet, case.side).to(self.dtype)
        given = replace(given, z_t=torch.cat([given.z_t] * case.batch), text=given.text.repeat_interleave(case.batch, 0))
        steps = {"diffusers": diffusers_step(self.unet, self.theirs[: case.controls], given)}
        steps |= {way: self.our_step(runner, case.controls, given) for way, runner in self.runners.items()}
        expected = steps["diffusers"]()
        for name, step in steps.items():
            error = float((step() - expected).float().norm() / expected.float().norm())
            if not error < ALLOWED[self.dtype]:
                raise SystemExit(f"{name} differs from diffusers by {error:.1e} at {case}")
            step()
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                taken[name].append(timed(step)[0][0])
        ratios = {name: [a / b for a, b in zip(taken["diffusers"], one, strict=True)] for name, one in taken.items()}
        return Point(
            case,
            {name: 1000 * statistics.median(one) for name, one in taken.items()},
            {name: statistics.median(one) for name, one in ratios.items()},
            {name: (min(one), max(one)) for name, one in ratios.items()},
        )


def table(axis: str, points: Sequence[Point]) -> str:
    """The rows of an axis."""
    names = list(points[0].times)
    ours = names[1:]
    lines = [f"| {TITLES[axis]} | diffusers, ms | " + " | ".join(f"{name}, ms | times as fast" for name in ours) + " |"]
    lines.append("|---" * (2 + 2 * len(ours)) + "|")
    for point in points:
        cells = [f"{getattr(point.case, axis)}", f"{point.times['diffusers']:.1f}"]
        for name in ours:
            low, high = point.spreads[name]
            cells += [f"{point.times[name]:.1f}", f"{point.ratios[name]:.2f} ({low:.2f} to {high:.2f})"]
        lines.append(f"| {' | '.join(cells)} |")
    if axis == "controls" and len(points) > 2:
        more = {name: [b.times[name] - a.times[name] for a, b in pairwise(points[1:])] for name in names}
        said = ", ".join(f"{name} {statistics.fmean(one):.1f} ms" for name, one in more.items())
        lines += ["", f"One more control adds: {said}."]
    return "\n".join(lines)


def plot(found: dict[str, list[Point]]) -> str:
    """Milliseconds against each axis, from zero, as SVG."""
    names = list(next(iter(found.values()))[0].times)
    wide = PANEL * len(found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {HIGH + 30}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for column, (axis, points) in enumerate(found.items()):
        left, across, tall = column * PANEL + MARGIN, PANEL - MARGIN - 20, HIGH - 2 * MARGIN
        values = [getattr(point.case, axis) for point in points]
        low, high, top = min(values), max(values), max(max(point.times.values()) for point in points)
        parts.append(f'<text x="{left}" y="24" font-size="13">a step, ms, against {escape(TITLES[axis])}</text>')
        for share in (0, 0.5, 1):
            y = MARGIN + tall * (1 - share)
            parts.append(f'<line x1="{left}" y1="{y:.0f}" x2="{left + across}" y2="{y:.0f}" stroke="#ddd"/>')
            parts.append(f'<text x="{left - 5}" y="{y + 4:.0f}" text-anchor="end">{top * share:.0f}</text>')
        at = [left + across * (value - low) / max(high - low, 1) for value in values]
        parts += [
            f'<text x="{x:.0f}" y="{HIGH - MARGIN + 16}" text-anchor="middle">{v}</text>'
            for x, v in zip(at, values, strict=True)
        ]
        for name, colour in zip(names, COLOURS, strict=False):
            line = [f"{x:.1f},{MARGIN + tall * (1 - p.times[name] / top):.1f}" for x, p in zip(at, points, strict=True)]
            parts.append(f'<polyline points="{" ".join(line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{dot.split(",")[0]}" cy="{dot.split(",")[1]}" r="2.6" fill="{colour}"/>' for dot in line]
    for i, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        x = MARGIN + 130 * i
        parts.append(f'<rect x="{x}" y="{HIGH + 4}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 19}" y="{HIGH + 10}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "sd15"), default="tiny")
    parser.add_argument("--dtype", choices=KINDS, default="fp32")
    parser.add_argument("--axes", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--ways", help="of ours, with commas; plan,openvino for tiny, plan for sd15")
    parser.add_argument("--rounds", type=int, help="9 for tiny, 3 for sd15")
    parser.add_argument("--plot", type=Path, help="write the curves as SVG")
    args = parser.parse_args()
    axes, rounds = AXES[args.size], args.rounds or {"tiny": 9, "sd15": 3}[args.size]
    ways = (args.ways or {"tiny": "plan,openvino", "sd15": "plan"}[args.size]).split(",")
    usual = Case({"tiny": 128, "sd15": 256}[args.size])
    print(f"{args.size}, {args.dtype}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
          f"load {os.getloadavg()[0]:.1f}, usual: {usual}", flush=True)  # fmt: skip
    found: dict[str, list[Point]] = {}
    with torch.no_grad():
        bench = Bench(args.size, KINDS[args.dtype], ways, max(axes["controls"]) if "controls" in args.axes else 1)
        for axis in args.axes:
            values = [value for value in axes[axis] if axis != "threads" or value <= usual.threads]
            found[axis] = [bench.measure(replace(usual, **{axis: value}), rounds) for value in values]
            print("\n" + table(axis, found[axis]), flush=True)
    if args.plot:
        args.plot.write_text(plot(found), "utf-8")


if __name__ == "__main__":
    main()
