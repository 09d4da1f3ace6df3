"""Plots as inline SVG that keep their letters and strokes at any width: shapes in percent, labels in HTML beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

import numpy as np

from zeroconv.evaluation.folders.generated import StepsPoint
from zeroconv.metrics.bootstrap import Interval

__all__ = ["Scale", "curve_plot", "row_plot", "scatter_plot", "tick_row"]

FEW = 8  # values below which a density would be made up
POINTS = 1000  # dots of a scatter plot at most
DENSITY = 96  # places that a density is drawn at


@dataclass(frozen=True)
class Scale:
    """From numbers to percent of an axis.

    Attributes:
        low: at 0 %.
        high: at 100 %.
        ticks: that are labelled.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], count: int = 5) -> "Scale":
        """An axis that holds all values, with about so many round ticks."""
        low, high = min(values), max(values)
        if high - low < 1e-9:
            low, high = low - 0.05 * max(abs(low), 1), high + 0.05 * max(abs(high), 1)
        step = nice((high - low) / count)
        first, last = floor(low / step + 1e-9), -floor(-high / step + 1e-9)
        return cls(first * step, last * step, tuple(round(step * i, 10) for i in range(first, last + 1)))

    def __call__(self, value: float) -> float:
        """A number in percent of the axis."""
        return 100 * (value - self.low) / (self.high - self.low)

    def label(self, tick: float) -> str:
        """A tick as it is written."""
        step = self.ticks[1] - self.ticks[0]
        return f"{tick:.{max(0, -floor(log10(step) + 1e-9))}f}"


def nice(step: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten."""
    power = 10 ** floor(log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def svg(content: str, label: str) -> str:
    """A drawing in percent."""
    return f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">{content}</svg>'


def grid(scale: Scale) -> str:
    """Lines at the ticks of the horizontal axis."""
    return "".join(f'<path class="grid" d="M{scale(tick):.2f} 0V100"/>' for tick in scale.ticks)


def tick_row(scale: Scale) -> str:
    """The labels under a horizontal axis."""
    return "".join(f'<span style="left:{scale(tick):.2f}%">{scale.label(tick)}</span>' for tick in scale.ticks)


def row_plot(values: Sequence[float], mean: Interval, scale: Scale, label: str) -> str:
    """One set: how its scores are spread, each score as a stroke, and the mean with its interval."""
    parts = [grid(scale)]
    if len(values) >= FEW and max(values) - min(values) > 1e-9:
        places, heights = density(values, scale)
        line = "L".join(f"{x:.2f} {66 - 60 * y:.2f}" for x, y in zip(places, heights, strict=True))
        parts.append(f'<path class="spread" d="M{places[0]:.2f} 66L{line}L{places[-1]:.2f} 66Z"/>')
    strokes = "".join(f"M{scale(value):.2f} 70v11" for value in values)
    parts.append(f'<path class="each" style="opacity:{max(0.12, min(0.8, 14 / len(values))):.2f}" d="{strokes}"/>')
    parts.append(f'<path class="interval" d="M{scale(mean.low):.2f} 91H{scale(mean.high):.2f}"/>')
    parts.append(f'<path class="mean" d="M{scale(mean.value):.2f} 91h0"/>')
    return svg("".join(parts), f"{label}: mean {mean}")


def density(values: Sequence[float], scale: Scale) -> tuple[list[float], list[float]]:
    """A Gaussian kernel density (B. Silverman, 1986): places in percent, heights up to 1."""
    numbers = np.asarray(values, np.float64)
    spread = min(float(numbers.std()), float(np.subtract(*np.percentile(numbers, [75, 25]))) / 1.34 or float(numbers.std()))
    width = max(0.9 * spread * len(numbers) ** -0.2, (scale.high - scale.low) / 200)
    at = np.linspace(max(scale.low, numbers.min() - 2 * width), min(scale.high, numbers.max() + 2 * width), DENSITY)
    heights = np.exp(-0.5 * ((at[:, None] - numbers[None]) / width) ** 2).sum(1)
    return [scale(one) for one in at], (heights / heights.max()).tolist()


def scatter_plot(of: Sequence[float], to: Sequence[float], names: Sequence[str], axes: tuple[str, str]) -> str:
    """Each map as a dot: to the right what one set reaches, upwards the other; above the diagonal the other is ahead."""
    scale = Scale.of([*of, *to], 4)
    step = -(-len(of) // POINTS)
    dots = "".join(
        f'<path class="dot" d="M{scale(x):.2f} {100 - scale(y):.2f}h0"><title>{escape(name)}: {x:.3f}, {y:.3f}</title></path>'
        for x, y, name in list(zip(to, of, names, strict=True))[::step]
    )
    lines = grid(scale) + "".join(f'<path class="grid" d="M0 {100 - scale(tick):.2f}H100"/>' for tick in scale.ticks)
    drawing = svg(f'{lines}<path class="diagonal" d="M0 100L100 0"/>{dots}', f"{axes[1]} against {axes[0]}, a dot for each map")
    return frame(drawing, scale, scale, axes, "square")


def curve_plot(curve: Sequence[StepsPoint], measure: str) -> str:
    """Fidelity against denoising steps, with its 95 % band."""
    values = [value for point in curve for value in (point.fidelity.low, point.fidelity.high)]
    scale, most = Scale.of(values, 4), max(point.steps for point in curve)
    along = Scale(0, most, tuple(sorted({0.0, *(float(point.steps) for point in curve)})))
    places = [along(point.steps) for point in curve]
    above = [f"{x:.2f} {100 - scale(point.fidelity.high):.2f}" for x, point in zip(places, curve, strict=True)]
    below = [f"{x:.2f} {100 - scale(point.fidelity.low):.2f}" for x, point in zip(places, curve, strict=True)]
    line = [f"{x:.2f} {100 - scale(point.fidelity.value):.2f}" for x, point in zip(places, curve, strict=True)]
    parts = [f'<path class="grid" d="M0 {100 - scale(tick):.2f}H100"/>' for tick in scale.ticks]
    parts.append(f'<path class="band" d="M{"L".join([*above, *reversed(below)])}Z"/><path class="line" d="M{"L".join(line)}"/>')
    for place, point in zip(line, curve, strict=True):
        said = f"{point.steps} steps: {point.fidelity}"
        parts.append(f'<path class="dot" d="M{place}h0"><title>{escape(said)}</title></path>')
    return frame(svg("".join(parts), f"{measure} against denoising steps"), along, scale, ("denoising steps", measure), "wide")


def frame(drawing: str, along: Scale, up: Scale, axes: tuple[str, str], kind: str) -> str:
    """A drawing with the labels of both axes."""
    left = "".join(f'<span style="bottom:{up(tick):.2f}%">{up.label(tick)}</span>' for tick in up.ticks)
    under = "".join(f'<span style="left:{along(tick):.2f}%">{tick:g}</span>' for tick in along.ticks)
    return (
        f'<div class="plot {kind}"><p class="up">{escape(axes[1])}</p><div class="left">{left}</div><div class="area">{drawing}'
        f'</div><div class="under">{under}</div><p class="along">{escape(axes[0])}</p></div>'
    )
