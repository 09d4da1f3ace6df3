"""Numbers of a running service, in the text format of Prometheus."""

import threading
from bisect import bisect_left
from collections.abc import Mapping

__all__ = ["Metrics"]

BUCKETS = (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)  # seconds
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters, gauges and histograms of seconds, each with a sentence; threads may share it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.about: dict[str, tuple[str, str]] = {}
        self.values: dict[str, dict[Labels, float]] = {}
        self.histograms: dict[str, list[int]] = {}

    def describe(self, name: str, kind: str, sentence: str) -> None:
        """Declare a metric.

        Args:
            name: such as "zeroconv_jobs_total".
            kind: "counter", "gauge" or "histogram".
            sentence: what it counts.
        """
        self.about[name] = kind, sentence
        self.values[name] = {}
        if kind == "histogram":
            self.histograms[name] = [0] * (len(BUCKETS) + 1)
        elif kind == "counter":
            self.values[name][()] = 0.0

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter."""
        key = tuple(sorted(labels.items()))
        with self.lock:
            if labels:
                self.values[name].pop((), None)
            self.values[name][key] = self.values[name].get(key, 0) + by

    def observe(self, name: str, seconds: float) -> None:
        """Add a value to a histogram."""
        with self.lock:
            self.histograms[name][bisect_left(BUCKETS, seconds)] += 1
            self.values[name][()] = self.values[name].get((), 0) + seconds

    def text(self, gauges: Mapping[str, float]) -> str:
        """All of it.

        Args:
            gauges: values of now, by the names of described gauges.
        """
        lines: list[str] = []
        with self.lock:
            for name, (kind, sentence) in self.about.items():
                lines += [f"# HELP {name} {sentence}", f"# TYPE {name} {kind}"]
                if kind == "histogram":
                    lines += self.histogram_lines(name)
                elif kind == "gauge":
                    lines.append(f"{name} {gauges.get(name, 0):g}")
                else:
                    lines += [f"{name}{braces(labels)} {value:g}" for labels, value in sorted(self.values[name].items())]
        return "\n".join(lines) + "\n"

    def histogram_lines(self, name: str) -> list[str]:
        """The lines of one histogram, its buckets added up."""
        counts, lines, total = self.histograms[name], list[str](), 0
        for limit, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{limit}"}} {total}')
        return [*lines, f"{name}_sum {self.values[name].get((), 0.0):.6f}", f"{name}_count {total}"]


def braces(labels: Labels) -> str:
    """Labels as they stand behind a name."""
    inside = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""
